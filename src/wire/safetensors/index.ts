/** `application/x-safetensors`: the tensors as bytes, everything else as JSON strings in `__metadata__`. */
import { defineFormat } from '../define.ts'
import { decode } from './reader.ts'
import { encode } from './writer.ts'

export default defineFormat({
  name: 'safetensors',
  mediaTypes: ['application/x-safetensors', 'application/vnd.safetensors'],
  bodyLimit: 'binary',
  decode,
  encode,
})
