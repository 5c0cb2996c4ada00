/**
 * Files that callers have sent. They lie in a hidden folder of the datasets, so no path and no pattern leads to them:
 * `.uploads/<owner>/<id>/<digest>.<ending>`. What is there is all that is known of them, so every process with the same
 * folder sees the same uploads.
 */
import { createHash, randomUUID } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { Problem, problemAt } from '../errors.ts'
import type { DataFile } from './database.ts'
import type { FormatDefinition } from './formats/define.ts'
import { FORMATS, formatOfFile } from './formats/index.ts'

const FOLDER = '.uploads'
/** Of files that are still arriving. No id of an owner begins with a dot. */
const ARRIVING = '.arriving'
const ID = /^[A-Za-z0-9][\w.-]{0,127}$/
/** After so many bytes, others may have used up the room. */
const LOOK_AGAIN_BYTES = 16 * 1024 * 1024
const SWEEP_MS = 10 * 60 * 1000

export interface UploadLimits {
  /** Bytes of one owner. */
  readonly bytes: number
  /** Bytes of all owners together. */
  readonly totalBytes: number
  /** How long uploads are kept, in ms. */
  readonly expiryMs: number
  /** How long one may take, in ms. */
  readonly timeoutMs: number
}

export interface Upload {
  readonly id: string
  readonly format: string
  readonly bytes: number
  /** SHA-256, in hex. */
  readonly digest: string
  /** Milliseconds since 1970. */
  readonly created: number
  readonly path: string
}

export interface NewUpload {
  readonly id: string
  readonly format: FormatDefinition
  /** Known in advance, unless the client does not say. */
  readonly length: number | undefined
  /** The SHA-256 that it must have, in hex. */
  readonly digest: string | undefined
  /** Whether there must be nothing of this name. */
  readonly onlyCreate: boolean
  readonly chunks: AsyncIterable<Uint8Array>
}

export class Uploads {
  readonly #root: string
  readonly #limits: UploadLimits
  readonly #timer: NodeJS.Timeout
  /** The last change of each dataset, so that changes of one come one after the other. */
  readonly #changes = new Map<string, Promise<unknown>>()

  /** @param folder the folder with the datasets */
  constructor(folder: string, limits: UploadLimits) {
    this.#root = realpathSync(folder)
    this.#limits = limits
    const sweep = () => void this.sweep().catch(() => {})
    this.#timer = setInterval(sweep, Math.min(SWEEP_MS, limits.expiryMs))
    this.#timer.unref()
    sweep()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /**
   * Keeps a file. When this resolves, it is on disk; if it rejects, nothing has changed.
   *
   * @throws Problem `invalid-value`, `precondition-failed`, `storage-full`
   */
  async put(
    owner: string | null,
    upload: NewUpload,
  ): Promise<{ readonly upload: Upload; readonly isNew: boolean }> {
    checkId(upload.id)
    if (upload.onlyCreate && (await this.find(owner, upload.id)) !== undefined) throw exists(upload.id)
    await this.#checkRoom(owner, upload.length ?? 1)
    const folder = join(this.#root, FOLDER, ARRIVING)
    const arriving = join(folder, `${nameOf(owner)}.${randomUUID()}`)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const digest = await this.#receive(owner, upload, arriving)
      return await this.#alone(owner, upload.id, () => this.#publish(owner, upload, arriving, digest))
    } catch (error) {
      throw fullDisk(error) ?? error
    } finally {
      await rm(arriving, { force: true })
    }
  }

  async find(owner: string | null, id: string): Promise<Upload | undefined> {
    if (!ID.test(id)) return undefined
    const all = await this.#versions(this.#folderOf(owner, id), id)
    return all.find(({ created }) => created + this.#limits.expiryMs > Date.now())
  }

  /** @throws Problem `unknown-dataset` */
  async fileOf(owner: string | null, id: string): Promise<DataFile> {
    const found = await this.find(owner, id)
    if (found === undefined) throw unknownDataset(id)
    return { path: found.path, name: id, format: found.format, root: this.#root }
  }

  /** By their ids. */
  async list(owner: string | null): Promise<Upload[]> {
    const ids = await namesIn(join(this.#root, FOLDER, nameOf(owner)))
    const all = await Promise.all(ids.sort().map((id) => this.find(owner, id)))
    return all.filter((upload) => upload !== undefined)
  }

  /** @returns whether it was there */
  remove(owner: string | null, id: string): Promise<boolean> {
    return this.#alone(owner, id, async () => {
      const found = await this.find(owner, id)
      if (found !== undefined) await rm(this.#folderOf(owner, id), { recursive: true, force: true })
      return found !== undefined
    })
  }

  /** Deletes what has expired, and what was left by processes that died. */
  async sweep(): Promise<void> {
    const now = Date.now()
    const top = join(this.#root, FOLDER)
    for (const name of await namesIn(join(top, ARRIVING)))
      await removeOlder(join(top, ARRIVING, name), now - 2 * this.#limits.timeoutMs)
    for (const owner of await ownersIn(top)) {
      for (const id of await namesIn(join(top, owner))) {
        const folder = join(top, owner, id)
        for (const file of await namesIn(folder))
          await removeOlder(join(folder, file), now - this.#limits.expiryMs)
        // Fails if something is left in it.
        await rmdir(folder).catch(() => {})
      }
    }
  }

  #folderOf(owner: string | null, id: string): string {
    return join(this.#root, FOLDER, nameOf(owner), id)
  }

  /** The files of a dataset, the newest first. There are several while one takes the place of another. */
  async #versions(folder: string, id: string): Promise<Upload[]> {
    const found = await Promise.all(
      (await namesIn(folder)).map(async (file): Promise<Upload[]> => {
        const path = join(folder, file)
        const stats = await stat(path).catch(() => undefined)
        const format = formatOfFile(file)
        if (stats === undefined || format === undefined) return []
        const digest = file.slice(0, -extname(file).length)
        return [{ id, format: format.name, bytes: stats.size, digest, created: stats.mtimeMs, path }]
      }),
    )
    return found.flat().sort((a, b) => b.created - a.created)
  }

  /** Writes what arrives. @returns its digest */
  async #receive(owner: string | null, upload: NewUpload, path: string): Promise<string> {
    const hash = createHash('sha256')
    const file = await open(path, 'wx', 0o600)
    let bytes = 0
    let checked = 0
    try {
      for await (const chunk of upload.chunks) {
        bytes += chunk.length
        if (bytes - checked > LOOK_AGAIN_BYTES) {
          checked = bytes
          await this.#checkRoom(owner, chunk.length)
        } else if (bytes > this.#limits.bytes) throw noRoom(this.#limits.bytes)
        hash.update(chunk)
        await writeAll(file, chunk)
      }
      if (upload.length !== undefined && bytes !== upload.length)
        throw new Problem(
          'bad-request',
          `the body has ${bytes} bytes, but its Content-Length is ${upload.length}`,
        )
      await this.#checkRoom(owner, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await checkContent(path, upload.format, bytes)
    const digest = hash.digest('hex')
    if (upload.digest !== undefined && upload.digest !== digest)
      throw new Problem(
        'invalid-value',
        `the body has the SHA-256 ${digest}, not ${upload.digest} as its digest says`,
      )
    return digest
  }

  async #publish(
    owner: string | null,
    { id, format, onlyCreate }: NewUpload,
    arriving: string,
    digest: string,
  ) {
    const folder = this.#folderOf(owner, id)
    const known = await this.find(owner, id)
    if (onlyCreate && known !== undefined) throw exists(id)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const file = `${digest}${format.extensions[0]}`
    await rename(arriving, join(folder, file))
    await syncFolder(folder)
    const [upload, ...older] = await this.#versions(folder, id)
    for (const { path } of older) await unlink(path).catch(() => {})
    return { upload, isNew: known === undefined }
  }

  /** Changes of one dataset, one after the other. */
  async #alone<T>(owner: string | null, id: string, run: () => Promise<T>): Promise<T> {
    const key = `${nameOf(owner)}/${id}`
    const before = this.#changes.get(key)
    const change = (async () => {
      await before?.catch(() => {})
      return run()
    })()
    this.#changes.set(key, change)
    try {
      return await change
    } finally {
      if (this.#changes.get(key) === change) this.#changes.delete(key)
    }
  }

  /** @throws Problem `storage-full` */
  async #checkRoom(owner: string | null, more: number): Promise<void> {
    const own = nameOf(owner)
    const { bytes, totalBytes } = this.#limits
    const sizes = await this.#sizes()
    const ofOwner = sizes.get(own) ?? 0
    const ofAll = [...sizes.values()].reduce((sum, size) => sum + size, 0)
    if (ofOwner + more > bytes) throw noRoom(bytes)
    if (ofAll + more > totalBytes)
      throw new Problem(
        'storage-full',
        `the uploads of all callers have at most ${totalBytes} bytes together (LOSSD_UPLOAD_TOTAL_BYTES)`,
      )
  }

  /** Bytes of each owner, with those that are arriving. */
  async #sizes(): Promise<Map<string, number>> {
    const top = join(this.#root, FOLDER)
    const sizes = new Map<string, number>()
    const add = async (owner: string, path: string) => {
      const stats = await stat(path).catch(() => undefined)
      if (stats?.isFile()) sizes.set(owner, (sizes.get(owner) ?? 0) + stats.size)
    }
    for (const name of await namesIn(join(top, ARRIVING)))
      await add(name.split('.')[0], join(top, ARRIVING, name))
    for (const owner of await ownersIn(top))
      for (const id of await namesIn(join(top, owner)))
        for (const file of await namesIn(join(top, owner, id))) await add(owner, join(top, owner, id, file))
    return sizes
  }
}

export function unknownDataset(id: string): Problem {
  return new Problem('unknown-dataset', `there is no dataset "${id.slice(0, 80)}"`)
}

/** The folder of an owner. Ids of keys and of tokens may have any characters, so it is a hash. */
function nameOf(owner: string | null): string {
  return createHash('sha256')
    .update(owner ?? '')
    .digest('hex')
    .slice(0, 32)
}

function checkId(id: string) {
  if (!ID.test(id))
    throw problemAt(
      'invalid-value',
      '/id',
      `must have 1 to 128 letters, digits, "_", "-" and ".", and begin with a letter or a digit, got ${JSON.stringify(id.slice(0, 80))}`,
    )
}

function exists(id: string): Problem {
  return new Problem('precondition-failed', `there is a dataset "${id}" already`)
}

function noRoom(bytes: number): Problem {
  return new Problem(
    'storage-full',
    `the uploads of a caller have at most ${bytes} bytes together (LOSSD_UPLOAD_BYTES)`,
  )
}

/** A file that is something else is told so at once, as far as its first and last bytes say. */
async function checkContent(path: string, { title, magic }: FormatDefinition, bytes: number) {
  if (bytes === 0) throw new Problem('invalid-value', 'the body is empty')
  if (magic === undefined) return
  const file = await open(path, 'r')
  try {
    const head = Buffer.alloc(8)
    await file.read(head, 0, head.length, 0)
    if (!head.toString('latin1').startsWith(magic)) {
      const other = [...FORMATS.values()].find(
        (format) => format.magic !== undefined && head.toString('latin1').startsWith(format.magic),
      )
      throw new Problem(
        'invalid-value',
        `the body is not ${title}${other === undefined ? '' : `; it looks like ${other.title}`}`,
      )
    }
  } finally {
    await file.close()
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array) {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done)
    done += bytesWritten
  }
}

/** So that the new name is on disk, too. Windows cannot open folders. */
async function syncFolder(path: string) {
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => {})
  await folder?.close()
}

function fullDisk(error: unknown): Problem | undefined {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new Problem('storage-full', 'the disk of the service is full', { cause: error })
  if (code === 'EROFS' || code === 'EACCES')
    return new Problem('storage-full', 'the service cannot write into the folder of its datasets', {
      cause: error,
    })
  return undefined
}

async function removeOlder(path: string, than: number) {
  const stats = await stat(path).catch(() => undefined)
  if (stats !== undefined && stats.mtimeMs < than) await unlink(path).catch(() => {})
}

async function ownersIn(top: string): Promise<string[]> {
  return (await namesIn(top)).filter((name) => !name.startsWith('.'))
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (
      (error as NodeJS.ErrnoException).code === 'ENOENT' ||
      (error as NodeJS.ErrnoException).code === 'ENOTDIR'
    )
      return []
    throw error
  }
}
