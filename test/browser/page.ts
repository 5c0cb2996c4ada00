/** The API page and the landing page in Chromium, at wide and narrow widths. */
import type { Browser, Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { sharedChromium } from '../support/chromium.ts'
import { depth } from '../support/depth.ts'
import { sharedServer } from '../support/server.ts'

const browser: Browser | undefined = await sharedChromium()
const server = sharedServer()

const open = async (path: string, width: number): Promise<Page> => {
  const page = await browser!.newPage({ viewport: { width, height: 800 } })
  await page.goto(server.url + path)
  return page
}
/** How far the page scrolls horizontally. */
const overhang = (page: Page) => page.evaluate<number>('document.documentElement.scrollWidth - innerWidth')

describe.skipIf(browser === undefined).each(depth([400], [1280, 400]))('at a width of %d', (width) => {
  it('the API page has its own title, and groups that open on click', async () => {
    const page = await open('/docs', width)
    await page.waitForSelector('.opblock-tag')
    expect(await page.title()).toBe('lossd')
    expect(await page.locator('.opblock').count()).toBe(0)
    expect((await page.content()).toLowerCase()).not.toContain('fastify')
    expect(await page.locator('.topbar').count()).toBe(0)
    await page.click('#operations-tag-regression')
    await page.waitForSelector('#operations-regression-huber')
    expect(await page.locator('.opblock').count()).toBeGreaterThan(10)
    expect(await overhang(page)).toBeLessThanOrEqual(0)
    await page.close()
  })

  it('an operation shows an example response, and returns the same one', async () => {
    const page = await open('/docs#/regression/huber', width)
    const operation = page.locator('#operations-regression-huber')
    const example = await operation.locator('.responses-table .example').first().textContent()
    expect(JSON.parse(example!)).toMatchObject({ gradients: { predictions: [-0.7, -1, -1] }, finite: true })
    await operation.locator('.execute').click()
    const answer = operation.locator('.live-responses-table .response-col_description pre').first()
    expect(JSON.parse((await answer.textContent())!)).toEqual(JSON.parse(example!))
    expect(await page.content()).not.toContain('additionalProp')
    expect(await overhang(page)).toBeLessThanOrEqual(0)
    await page.close()
  })

  it('the landing page fits the width, and its links work', async () => {
    const page = await open('/', width)
    expect(await overhang(page)).toBeLessThanOrEqual(0)
    await page.click('a[href="/docs"]')
    await page.waitForSelector('.opblock-tag')
    await page.close()
  })
})
