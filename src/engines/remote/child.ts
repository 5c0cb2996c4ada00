/**
 * The entry of an engine's own process. When the pipe closes, because the server has gone or wants it so, nothing is left to
 * wait for, and the process ends; what a driver still holds open does not keep it.
 */
import { Socket } from 'node:net'
import { argv, exit } from 'node:process'
import { openAlone } from '../open.ts'
import { Link } from './link.ts'
import { Mailbox } from './mailbox.ts'
import type { Request } from './messages.ts'
import { PIPE, type ProcessStart } from './process.ts'
import { serve } from './serve.ts'

const options = JSON.parse(argv[2]) as ProcessStart
const slotsFrom = (first: number) => Array.from({ length: options.slots }, (_, i) => first + i)
const pipe = new Socket({ fd: PIPE })
pipe.on('close', () => exit())
let listener: (request: Request) => void = () => {}
const link = new Link({
  pipe,
  incoming: new Mailbox(slotsFrom(PIPE + 1)),
  outgoing: new Mailbox(slotsFrom(PIPE + 1 + options.slots)),
  onMessage: (request) => listener(request as Request),
})

await serve(
  {
    say: (reply, sent) => link.send(reply, sent),
    onRequest: (heard) => {
      listener = heard
    },
    close: () => pipe.end(() => exit()),
  },
  () => openAlone(options),
)
