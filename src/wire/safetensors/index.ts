/** `application/x-safetensors`: the tensors as bytes, everything else as JSON strings in `__metadata__`. */
import { defineFormat } from '../define.ts'
import { decode, recognizes } from './reader.ts'
import { encode } from './writer.ts'

export default defineFormat({
  name: 'safetensors',
  title: 'safetensors',
  mediaTypes: ['application/x-safetensors', 'application/vnd.safetensors'],
  rank: 1,
  bodyLimit: 'binary',
  compresses: false,
  layout: {
    shape: 'file',
    tensors: 'entries of the file',
    options: 'strings in `__metadata__`, each a JSON text (a formula as it is)',
  },
  recognizes,
  decode,
  encode,
})
