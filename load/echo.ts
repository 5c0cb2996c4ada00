/**
 * The baseline for lossd: a bare Fastify server that returns the bytes that it received. JSON is parsed and
 * printed, because a service that reads numbers cannot do less. It runs as a process of its own and prints its
 * port.
 */
import Fastify from 'fastify'

const app = Fastify({ bodyLimit: 64 * 1024 * 1024 })
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body))
app.post('/echo/safetensors', (request, reply) => reply.type('application/x-safetensors').send(request.body))
app.post('/echo/json', (request, reply) => {
  return reply.type('application/json').send(JSON.stringify(JSON.parse(String(request.body))))
})
console.log(await app.listen({ port: 0, host: '127.0.0.1' }))
