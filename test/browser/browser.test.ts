/** All that is tested in a browser, in one process: Chromium is unpacked when it is first asked for. */
import './language.ts'
import './origins.ts'
import './page.ts'
