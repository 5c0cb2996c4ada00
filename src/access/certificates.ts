/** TLS: reads the certificate, its key and the authority of client certificates from files, and reads them again when they change. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import type { AccessLog } from './audit.ts'

/** Paths; empty if there is none. */
export interface CertificateSettings {
  readonly tlsCert: string
  readonly tlsKey: string
  readonly tlsClientCa: string
}

/** What Node's TLS takes. */
export interface CertificateFiles {
  readonly cert: Buffer
  readonly key: Buffer
  /** Only clients with a certificate of this authority are served. */
  readonly ca?: Buffer
}

/** How often the files are read again, in ms. */
const POLL_MS = 10_000

/** The certificate that is used at the moment. */
export class Certificates {
  readonly #settings: CertificateSettings
  readonly #log: AccessLog
  #files: CertificateFiles
  #digest: string
  #fault: string | undefined
  #timer: NodeJS.Timeout | undefined
  #use: (files: CertificateFiles) => void = () => {}

  private constructor(settings: CertificateSettings, log: AccessLog, files: CertificateFiles) {
    this.#settings = settings
    this.#log = log
    this.#files = files
    this.#digest = digestOf(files)
  }

  /**
   * @returns undefined if the service speaks plain HTTP
   * @throws Error that names the file that cannot be used
   */
  static async open(settings: CertificateSettings, log: AccessLog): Promise<Certificates | undefined> {
    if (settings.tlsCert === '') return undefined
    return new Certificates(settings, log, await readFiles(settings))
  }

  get files(): CertificateFiles {
    return this.#files
  }

  /** Calls back with every later certificate. New connections must use it. */
  watch(use: (files: CertificateFiles) => void) {
    this.#use = use
    this.#timer = setInterval(() => void this.reload(), POLL_MS)
    this.#timer.unref()
  }

  /** Reads the files again. If they cannot be used, the earlier ones stay in use. */
  async reload(): Promise<void> {
    try {
      const files = await readFiles(this.#settings)
      this.#fault = undefined
      if (digestOf(files) === this.#digest) return
      this.#use(files)
      this.#files = files
      this.#digest = digestOf(files)
      this.#log.info({ certificate: this.#settings.tlsCert }, 'a new certificate is in use')
    } catch (error) {
      const why = (error as Error).message
      if (why !== this.#fault)
        this.#log.error({ why }, 'the certificate cannot be read again; the earlier one stays in use')
      this.#fault = why
    }
  }

  close() {
    clearInterval(this.#timer)
  }
}

async function readFiles({ tlsCert, tlsKey, tlsClientCa }: CertificateSettings): Promise<CertificateFiles> {
  const [cert, key] = await Promise.all([readNamed(tlsCert), readNamed(tlsKey)])
  const files = { cert, key, ...(tlsClientCa === '' ? {} : { ca: await readNamed(tlsClientCa) }) }
  try {
    // Also refuses a key that does not belong to the certificate: the files may be replaced one after the other.
    createSecureContext(files)
  } catch (error) {
    throw new Error(`${tlsCert} and ${tlsKey} cannot be used: ${(error as Error).message}`, { cause: error })
  }
  return files
}

async function readNamed(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`, { cause: error })
  }
}

function digestOf({ cert, key, ca }: CertificateFiles): string {
  const hash = createHash('sha256').update(cert).update('\0').update(key).update('\0')
  return hash.update(ca ?? '').digest('hex')
}
