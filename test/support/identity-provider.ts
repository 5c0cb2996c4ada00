/** An identity provider: publishes keys over HTTP, signs tokens, rotates its keys, and has outages. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'

export const ISSUER = 'https://id.example'
export const AUDIENCE = 'lossd'

/** How it answers. */
export type Mood = 'well' | 'down' | 'a page' | 'silent'

export class IdentityProvider {
  readonly #server: Server
  #published: JWK[] = []
  #signs: { kid: string; alg: string; key: CryptoKey } | undefined
  mood: Mood = 'well'
  /** How often it was asked for its keys. */
  asked = 0

  private constructor() {
    this.#server = createServer((_, response) => {
      this.asked++
      if (this.mood === 'silent') return
      if (this.mood === 'down') return response.writeHead(503).end()
      if (this.mood === 'a page') return response.end('<html>Please log in</html>')
      response.setHeader('content-type', 'application/json')
      return response.end(JSON.stringify({ keys: this.#published }))
    })
  }

  static async start(): Promise<IdentityProvider> {
    const provider = new IdentityProvider()
    await new Promise<void>((resolve) => provider.#server.listen(0, '127.0.0.1', resolve))
    await provider.rotate('first')
    return provider
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/jwks`
  }

  /** Signs with a new key from now on. The earlier ones are still published, unless they are withdrawn. */
  async rotate(kid: string, { alg = 'ES256', withdraw = false } = {}) {
    const { publicKey, privateKey } = await generateKeyPair(alg)
    const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
    this.#published = withdraw ? [jwk] : [...this.#published, jwk]
    this.#signs = { kid, alg, key: privateKey }
  }

  token(
    claims: JWTPayload = {},
    { expires = '5m' as string | number, kid = this.#signs!.kid } = {},
  ): Promise<string> {
    const { alg, key } = this.#signs!
    const payload = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', ...claims }
    return new SignJWT(payload)
      .setProtectedHeader({ alg, kid })
      .setIssuedAt()
      .setExpirationTime(expires)
      .sign(key)
  }

  get publicKeys(): readonly JWK[] {
    return this.#published
  }

  async stop() {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
