/** A safetensors request, written without the service's own code. */

/** predictions F32 and targets I32 in one file. */
export function safetensorsBody(logits: Float32Array, shape: readonly number[], labels: Int32Array): Buffer {
  const header = JSON.stringify({
    predictions: { dtype: 'F32', shape, data_offsets: [0, logits.byteLength] },
    targets: {
      dtype: 'I32',
      shape: [labels.length],
      data_offsets: [logits.byteLength, logits.byteLength + labels.byteLength],
    },
  })
  const padded = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(padded.length))
  const bytes = (array: Float32Array | Int32Array) =>
    Buffer.from(array.buffer, array.byteOffset, array.byteLength)
  return Buffer.concat([size, padded, bytes(logits), bytes(labels)])
}
