/** What `make run` starts, in a folder of its own and with nothing configured. */
'use strict'

const { spawn } = require('node:child_process')
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

/** `variables` are set in an environment that has nothing else to configure the service. */
async function startService(variables) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'minigate-browser-'))
  const [port, simulatorPort] = [await freePort(), await freePort()]
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    PYTHONPATH: ROOT,
    PYTHONDONTWRITEBYTECODE: '1',
    HOST: '127.0.0.1',
    PORT: String(port),
    SIMULATOR_PORT: String(simulatorPort),
    ...variables,
  }
  const child = spawn(PYTHON, ['-m', 'service'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const log = []
  child.stdout.on('data', (text) => log.push(String(text)))
  child.stderr.on('data', (text) => log.push(String(text)))
  process.once('exit', () => child.kill('SIGKILL'))
  const stop = async () => {
    await ended(child)
    fs.rmSync(folder, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}`
  try {
    await answering(url + '/readyz', child, log)
  } catch (fault) {
    await stop()
    throw fault
  }
  return { url, port, simulatorUrl: `http://127.0.0.1:${simulatorPort}`, log, stop }
}

module.exports = { ROOT, pause, startService }
