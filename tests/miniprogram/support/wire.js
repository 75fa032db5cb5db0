/** What lies between the phone and the service: it writes down every request, and breaks on demand. */
'use strict'

const http = require('node:http')
const net = require('node:net')

/** An HTTP proxy to `target`; `requests` are {method, url, headers, status, began, ended}. */
async function startWire(target) {
  const requests = []
  const faults = []
  const server = http.createServer(async (request, reply) => {
    const seen = { method: request.method, url: request.url, headers: request.headers, status: 0, began: Date.now(), ended: 0 }
    requests.push(seen)
    const place = faults.findIndex((fault) => fault.path === request.url.split('?')[0])
    const fault = place >= 0 ? faults[place] : null
    if (fault && (fault.times -= 1) === 0) faults.splice(place, 1)
    if (fault && fault.answer) {
      seen.status = fault.answer.status
      request.resume()
      request.on('end', () => reply.writeHead(fault.answer.status, fault.answer.headers).end(fault.answer.body))
      return
    }
    if (fault && fault.hold) await new Promise((done) => setTimeout(done, fault.hold))
    const { hostname, port } = new URL(target)
    const late = fault && fault.delay ? new Promise((done) => setTimeout(done, fault.delay)) : null
    const onward = http.request(
      { hostname, port, path: request.url, method: request.method, headers: request.headers },
      async (answer) => {
        await late
        seen.status = answer.statusCode
        seen.ended = Date.now()
        if (fault && fault.cut) {
          // The service has answered, and nobody will hear it.
          answer.resume()
          answer.on('end', () => request.socket.destroy())
          return
        }
        const headers = Object.assign({}, answer.headers)
        if (fault && fault.strip) for (const name of fault.strip) delete headers[name]
        if (fault && fault.dropBody) {
          answer.resume()
          delete headers['content-length']
          reply.writeHead(answer.statusCode, headers).end('<html>401</html>')
          return
        }
        reply.writeHead(answer.statusCode, headers)
        answer.pipe(reply)
      }
    )
    onward.on('error', () => request.socket.destroy())
    request.pipe(onward)
  })
  server.on('upgrade', (request, socket) => {
    requests.push({ method: 'UPGRADE', url: request.url, headers: request.headers, status: 101 })
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    /** Those to one path, since the last `forget()`. */
    to: (path) => requests.filter((request) => request.url.split('?')[0] === path),
    forget: () => requests.splice(0),
    /**
     * For the next `times` requests to `path`: {cut}, {answer: {status, headers, body}}, {dropBody, strip}, {hold: ms
     * on the way there}, {delay: ms on the way back}.
     */
    fault: (path, fault, times = 1) => faults.push(Object.assign({ path, times }, fault)),
    heal: () => faults.splice(0),
    stop: () => new Promise((done) => {
      server.close(done)
      server.closeAllConnections()
    }),
  }
}

/** A TCP relay to `port` of this machine; closed, it hangs up on everybody. */
async function startGateway(port) {
  const sockets = new Set()
  let open = true
  const server = net.createServer((near) => {
    if (!open) return near.destroy()
    const far = net.connect(port, '127.0.0.1')
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return {
    port: server.address().port,
    close() {
      open = false
      for (const socket of sockets) socket.destroy()
    },
    open() {
      open = true
    },
    stop() {
      this.close()
      return new Promise((done) => server.close(done))
    },
  }
}

module.exports = { startGateway, startWire }
