/** The modes in which the service runs for comparison, and which of them start on this machine. */
import { type Server, startService } from '../processes.ts'

export interface Mode {
  readonly name: string
  readonly settings: Readonly<Record<string, string>>
}

/** Large bodies are the point here. Micro-batching is compared with one request per launch. */
const ROOM = {
  LOSSD_BINARY_BODY_LIMIT: String(2 ** 30),
  LOSSD_MAX_ELEMENTS: String(2 ** 29),
  LOSSD_MAX_INTERMEDIATE: String(2 ** 31),
  LOSSD_MAX_COST: String(1e14),
  LOSSD_QUEUE_BYTES: String(2 ** 34),
  LOSSD_QUEUE_ELEMENTS: String(2 ** 33),
  LOSSD_LOG_LEVEL: 'info',
}
const ONE_A_LAUNCH = { LOSSD_BATCH_ELEMENTS: '1' }

const DEVICES = ['tensorflow', 'webgpu'] as const

export const MODES: readonly Mode[] = [
  ...DEVICES.flatMap((engine) => [
    { name: engine, settings: { ...ROOM, LOSSD_ENGINE: engine } },
    { name: `${engine}, alone`, settings: { ...ROOM, ...ONE_A_LAUNCH, LOSSD_ENGINE: engine } },
  ]),
  { name: 'auto', settings: { ...ROOM, LOSSD_ENGINE: 'auto' } },
  { name: 'compiled', settings: { ...ROOM, LOSSD_ENGINE: 'compiled' } },
]

/** A mode that is running. */
export interface Running extends Mode {
  readonly server: Server
  /** The engine and its device, as the service reports them. */
  readonly about: string
}

export interface Absent extends Mode {
  /** In one line. */
  readonly why: string
}

/** Starts every mode that can start, and keeps them running until `use` returns. */
export async function withModes<Found>(
  use: (running: readonly Running[], absent: readonly Absent[]) => Promise<Found>,
): Promise<Found> {
  const running: (Running & { readonly stop: () => Promise<void> })[] = []
  const absent: Absent[] = []
  try {
    for (const mode of MODES) {
      const started = await startService(mode.settings).catch((error: Error) => error.message)
      if (typeof started === 'string') absent.push({ ...mode, why: started })
      else running.push({ ...mode, ...started, about: aboutOf(started.server) })
    }
    if (running.length === 0) throw new Error(`no mode starts: ${absent.map(({ why }) => why).join('; ')}`)
    return await use(running, absent)
  } finally {
    await Promise.all(running.map(({ stop }) => stop()))
  }
}

function aboutOf({ line }: Server): string {
  const { engine, device } = JSON.parse(line)
  return `${engine} (${device})`
}
