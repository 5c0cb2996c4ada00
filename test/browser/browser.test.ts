/** Runs all browser tests in one process, because unpacking Chromium takes time. */
import './language.ts'
import './origins.ts'
import './page.ts'
