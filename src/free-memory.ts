/**
 * Frees memory that nobody uses any more at once, instead of when it is garbage collected. Node delivers a body in pieces of 64 kB, each
 * of them memory of its own. V8 does not collect it with other short-lived objects, but marks the whole heap whenever 64 MB have come
 * together, which takes a tenth of a second.
 */
import { MessageChannel } from 'node:worker_threads'

const { port1: nowhere, port2 } = new MessageChannel()
nowhere.unref()
port2.close()

/** Below this size, the call costs more than the garbage collection. */
const LEAST_BYTES = 4096

/**
 * @param bytes must not be used afterwards: its length is 0 then. Nothing happens if it is a view of a larger memory
 * @example
 * request.on('data', freeMemory)
 */
export function freeMemory(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes
  if (byteLength < LEAST_BYTES || byteLength !== buffer.byteLength) return
  // What is sent to a port whose other end is closed goes nowhere; ArrayBuffer.prototype.transfer came with Node 22.
  nowhere.postMessage(null, [buffer as ArrayBuffer])
}
