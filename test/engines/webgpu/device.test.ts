/** Detecting at a glance that there is no GPU. engine.test.ts starts processes without a driver. */
import { existsSync, readdirSync } from 'node:fs'
import { platform } from 'node:os'
import { expect, it } from 'vitest'
import webgpu from '../../../src/engines/webgpu.ts'
import { openHere } from './support.ts'

it('a Linux machine without GPU device files is not tried, others are', () => {
  const nodes = existsSync('/dev/dri') ? readdirSync('/dev/dri') : []
  const known = ['/dev/nvidiactl', '/dev/dxg'].filter(existsSync)
  const hasOne =
    platform() !== 'linux' || known.length > 0 || nodes.some((name) => name.startsWith('renderD'))
  expect(webgpu.missing!()).toBe(hasOne ? undefined : 'no GPU device')
})

it('a software renderer is not reported as a GPU', async () => {
  const engine = await openHere()
  if (engine === undefined) return
  const isPlayed = /swiftshader|llvmpipe|software/i.test(engine.info.device)
  expect(engine.info.isGpu).toBe(!isPlayed)
  await engine.close()
})
