/** Runs all browser tests in one process, because unpacking Chromium takes time. */
import { afterAll } from 'vitest'
import { sharedChromium } from '../support/chromium.ts'
import './language.ts'
import './origins.ts'
import './page.ts'

afterAll(async () => (await sharedChromium())?.close())
