// Keep-alive clients of Node's own http module: client.mjs URL COUNT. See ../clients.ts for what is printed.
import http from 'node:http'

const [url, count] = [process.argv[2], Number(process.argv[3])]
const body = JSON.stringify({ predictions: [1, 2, 3], targets: [1, 2, 5] })
const agent = new http.Agent({ keepAlive: true, maxSockets: count })
const headers = { 'content-type': 'application/json', 'content-length': body.length }
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const result = { answered: 0, refused: 0, faults: {} }

function post() {
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}/v1/losses/huber`, { method: 'POST', agent, headers }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

let warm = 0
async function work(place) {
  for (let i = 0; ; i++) {
    try {
      const status = await post()
      if (status !== 200) throw new Error(`status ${status}`)
      result.answered++
    } catch (error) {
      if (error.code === 'ECONNREFUSED') result.refused++
      else result.faults[error.message] = (result.faults[error.message] ?? 0) + 1
      return
    }
    if (i === 2 && ++warm === count) console.log('warm')
    if (place % 2 === 1) await sleep(Math.random() * 30)
  }
}

await Promise.all(Array.from({ length: count }, (_, place) => work(place)))
console.log(JSON.stringify(result))
