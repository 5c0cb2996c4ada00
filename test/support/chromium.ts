/**
 * A real browser: Chromium from the npm package `@sparticuz/chromium`, driven by playwright-core. Neither package
 * downloads anything. The package's own flags are not used, because they disable the same-origin checks.
 */
import { arch, platform } from 'node:os'
import chromium from '@sparticuz/chromium'
import { type Browser, chromium as driver } from 'playwright-core'

let launched: Promise<Browser | undefined> | undefined

/** One browser for all tests of a process. @returns undefined if this machine cannot run it; the reason is printed */
export function sharedChromium(): Promise<Browser | undefined> {
  launched ??= launchChromium()
  return launched
}

async function launchChromium(): Promise<Browser | undefined> {
  if (platform() !== 'linux' || arch() !== 'x64')
    return none(`it is built for x64 Linux, this is ${arch()} ${platform()}`)
  const executablePath = await chromium.executablePath()
  try {
    return await driver.launch({ executablePath, args: ['--no-sandbox', '--no-zygote', '--disable-gpu'] })
  } catch (error) {
    const missing = /error while loading shared libraries: (\S+):/.exec(String(error))
    if (missing === null) throw error
    return none(`there is no ${missing[1]}`)
  }
}

function none(why: string): undefined {
  console.log(`no Chromium here, so the browser tests are skipped: ${why}`)
}
