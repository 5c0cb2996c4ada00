/** Route discovery: every file of this folder that exports a route is registered. To add a route, add a file. */
import { readdirSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import type { RouteContext, Routes } from './context.ts'

/** Registers all routes in the order of their file names. */
export async function registerRoutes(app: FastifyInstance, context: RouteContext): Promise<void> {
  const here = new URL('./', import.meta.url)
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
  const files = readdirSync(here).filter((file) => file.endsWith(extension) && file !== `index${extension}`)
  for (const file of files.sort()) {
    const { default: routes }: { default?: Routes } = await import(new URL(file, here).href)
    await routes?.(app, context)
  }
}
