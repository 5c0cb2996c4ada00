/**
 * The entry of an engine's own process. When the pipe closes, because the server has gone or wants it so, nothing is left to
 * wait for, and the process ends; what a driver still holds open does not keep it.
 */
import { Socket } from 'node:net'
import { argv, exit } from 'node:process'
import { openAlone } from '../open.ts'
import { encodeFrame, FrameReader } from './frames.ts'
import type { RemoteOptions, Reply, Request } from './messages.ts'
import { PIPE } from './process.ts'
import { serve } from './serve.ts'

const options = JSON.parse(argv[2]) as RemoteOptions
const pipe = new Socket({ fd: PIPE })
let listener: (request: Request) => void = () => {}
const frames = new FrameReader((request) => listener(request as Request))
pipe.on('error', () => {})
pipe.on('close', () => exit())
pipe.on('data', (chunk) => frames.push(chunk))

await serve(
  {
    say: write,
    onRequest: (heard) => {
      listener = heard
    },
    close: () => pipe.end(() => exit()),
  },
  () => openAlone(options),
)

function write(reply: Reply, sent?: () => void) {
  const parts = encodeFrame(reply)
  const last = parts.pop()
  pipe.cork()
  for (const part of parts) pipe.write(part)
  pipe.write(last!, sent)
  pipe.uncork()
}
