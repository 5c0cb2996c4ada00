/** Bytes of a file at any place. Nothing outside of the folder of the datasets is opened, whatever has become of the path. */
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs'
import { platform } from 'node:os'
import { sep } from 'node:path'
import type { Source } from './define.ts'

export class FileBytes {
  readonly size: number
  readonly #descriptor: number

  /** @param descriptor of a file that is open, and closed by {@link close} */
  constructor(descriptor: number) {
    this.#descriptor = descriptor
    this.size = fstatSync(descriptor).size
  }

  /** @throws Error if it is a link, or lies outside */
  static open(source: Source): FileBytes {
    return new FileBytes(openFile(source))
  }

  /**
   * A copy of some bytes, aligned for any typed array.
   *
   * @throws Error if the file ends before
   */
  read(offset: number, length: number): Buffer {
    if (offset < 0 || length < 0 || offset + length > this.size)
      throw new Error(`the file ends before byte ${offset + length}; it may have been cut off`)
    const bytes = Buffer.allocUnsafeSlow(length)
    for (let done = 0; done < length; ) {
      const count = readSync(this.#descriptor, bytes, done, length - done, offset + done)
      if (count === 0) throw new Error('the file has become shorter while it was read')
      done += count
    }
    return bytes
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}

/**
 * @returns the descriptor, which the caller closes
 * @throws Error if it is a link, or lies outside
 */
export function openFile({ path, root }: Source): number {
  const flags = constants.O_RDONLY | (root === undefined ? 0 : (constants.O_NOFOLLOW ?? 0))
  const descriptor = openSync(path, flags)
  if (root === undefined || whereIs(descriptor, path).startsWith(root + sep)) return descriptor
  closeSync(descriptor)
  throw new Error('there is no such file')
}

/** Where an open file is. Linux knows it of the file itself, so nobody can change the path in between. */
function whereIs(descriptor: number, path: string): string {
  return realpathSync(platform() === 'linux' ? `/proc/self/fd/${descriptor}` : path)
}
