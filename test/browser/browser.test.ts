/** All that is tested in a browser, in one process: Chromium is unpacked when it is first asked for. */
import { afterAll } from 'vitest'
import { sharedChromium } from '../support/chromium.ts'
import './language.ts'
import './origins.ts'
import './page.ts'

afterAll(async () => (await sharedChromium())?.close())
