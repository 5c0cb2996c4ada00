/** What is missing is told in a glance; the rest of it is in engine.test.ts, where processes without a driver are started. */
import { existsSync, readdirSync } from 'node:fs'
import { platform } from 'node:os'
import { expect, it } from 'vitest'
import webgpu from '../../../src/engines/webgpu.ts'
import { openHere } from './support.ts'

it('a Linux machine without any GPU device need not be tried, others may', () => {
  const nodes = existsSync('/dev/dri') ? readdirSync('/dev/dri') : []
  const known = ['/dev/nvidiactl', '/dev/dxg'].filter(existsSync)
  const hasOne =
    platform() !== 'linux' || known.length > 0 || nodes.some((name) => name.startsWith('renderD'))
  expect(webgpu.missing!()).toBe(hasOne ? undefined : 'no GPU device')
})

it('a processor that plays a GPU is not told to be one', async () => {
  const engine = await openHere()
  if (engine === undefined) return
  const isPlayed = /swiftshader|llvmpipe|software/i.test(engine.info.device)
  expect(engine.info.isGpu).toBe(!isPlayed)
  await engine.close()
})
