/** Launches alone, without HTTP: on the device, to the device and back, and on the alternatives. */
import type { Part, PartContext } from '../bench/part.ts'
import { aboutSides, openEngines, openTorchOnDevice, type Side } from '../bench/sides.ts'
import type { Measured, Task } from '../bench/tasks.ts'
import { inTurn } from '../rounds.ts'
import type { Cell, Table } from '../table.ts'
import { BENCH_SETTINGS, type GpuWork, shapeOf, WORK } from './work.ts'

const ELEMENTS = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]
const OURS = ['webgpu', 'tensorflow', 'compiled']

const kernels: Part = async (context) => {
  const [engines, torch] = [await openEngines(), await openTorchOnDevice()]
  const sides = [...OURS.map((name) => engines.find((side) => side.name === name)!), ...torch]
  try {
    const sizes = ELEMENTS.filter(
      (elements) => elements <= (context.quick ? 1e3 : BENCH_SETTINGS.mostElements),
    )
    const rows: Cell[][] = []
    for (const work of WORK) for (const size of sizes) rows.push(await rowOf(sides, work, size, context))
    return [tableOf(sides, rows)]
  } finally {
    for (const side of [...engines, ...torch]) side.close()
  }
}

export default kernels

async function rowOf(
  sides: readonly Side[],
  work: GpuWork,
  elements: number,
  { quick, say }: PartContext,
): Promise<Cell[]> {
  say(`kernels: ${work.name} ${elements}`)
  const [rounds, seconds] = quick ? [1, 0.05] : [BENCH_SETTINGS.rounds, BENCH_SETTINGS.kernelSeconds]
  const task: Task = { loss: work.name, ...shapeOf(work, elements), seconds }
  const found = await inTurn(
    sides,
    rounds,
    (side) => side.measure(task),
    (measured) => measured?.nanoseconds ?? 0,
  )
  return [work.name, elements, ...deviceCells(found), ...found.map(milliseconds)]
}

/** For the first side that has a device: its time, its bytes per second, and the ratio to the bandwidth of a copy. */
function deviceCells(found: readonly (Measured | undefined)[]): Cell[] {
  const device = found.find((measured) => measured?.device !== undefined)?.device
  if (device === undefined) return [undefined, undefined, undefined]
  const bytesPerSecond = device.bytes / (device.kernelMs / 1e3)
  return [device.kernelMs, bytesPerSecond / 1e9, bytesPerSecond / device.copyBytesPerSecond]
}

function milliseconds(measured: Measured | undefined): Cell {
  return measured && measured.nanoseconds / 1e6
}

function tableOf(sides: readonly Side[], rows: readonly Cell[][]): Table {
  const about = [
    'Milliseconds per launch, value and gradient, float32. Elements are those of the predictions; for nt_xent they are pairs of rows (dim 32).',
    '"On the device" is a launch whose data is already there. "GB/s" is the minimum number of bytes that it must read and write, per second, and "of copy" their ratio to a copy of the same size on the same device. The other columns include the transfer to the device and back; PyTorch keeps its data where it computes.',
    ...aboutSides(sides),
  ]
  return {
    title: 'Kernels',
    about: about.join(' '),
    head: ['loss', 'elements', 'on the device', 'GB/s', 'of copy', ...sides.map(({ name }) => name)],
    rows,
  }
}
