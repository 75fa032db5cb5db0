/** A phone: `wx` as a mini-program on it sees it, over real HTTP. */
'use strict'

const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')

const CLIENT = process.env.MINIGATE_CLIENT || path.resolve(__dirname, '../../../miniprogram/minigate/index.js')
const { createGate, platformOf, GateError } = require(CLIENT)

const METHODS = ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT']

/** iOS, Android and the tools spell header names differently. */
const SPELLINGS = [(name) => name, (name) => name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())]
let phones = 0

class Phone {
  /** `user` of the simulator; storage lives as long as the phone, not as the mini-program. */
  constructor(simulator, user) {
    this.simulator = simulator
    this.user = user
    this.storage = new Map()
    this.logins = 0 // calls of wx.login
    this.spell = SPELLINGS[phones++ % SPELLINGS.length]
    this.wx = this.makeWx()
  }

  /** Start the mini-program: everything but the storage is new. */
  launch(baseUrl, options) {
    const gate = createGate(Object.assign({ baseUrl, platform: platformOf(this.wx) }, options))
    gate.heard = []
    for (const event of ['login', 'replaced', 'kicked', 'banned', 'offline']) {
      gate.on(event, (detail) => gate.heard.push(event + (detail.error ? ':' + detail.error : '')))
    }
    return gate
  }

  get kept() {
    return JSON.parse(this.storage.get('minigate') || '{}')
  }

  makeWx() {
    const phone = this
    /** Callbacks come later, and none of them is a promise: as in WeChat. */
    const answer = (options, promise, name) => {
      promise.then(
        (res) => setTimeout(() => options.success && options.success(res)),
        (fault) => setTimeout(() => options.fail && options.fail({ errMsg: `${name}:fail ${fault.message}` }))
      )
      return { abort() {} }
    }
    const headersOf = (reply) => {
      const header = {}
      reply.headers.forEach((value, name) => {
        header[phone.spell(name)] = value
      })
      return header
    }
    return {
      login(options) {
        phone.logins += 1
        const login = phone.simulator.code(phone.user).then((code) => ({ code, errMsg: 'login:ok' }))
        answer(options, login, 'login')
      },
      request(options) {
        return answer(options, request(options, headersOf), 'request')
      },
      uploadFile(options) {
        const form = new FormData()
        form.append(options.name, new Blob([fs.readFileSync(options.filePath)]), path.basename(options.filePath))
        const sent = fetch(options.url, { method: 'POST', headers: options.header, body: form })
        const read = async (reply) => ({
          statusCode: reply.status,
          header: headersOf(reply),
          data: await reply.text(),
        })
        return answer(options, sent.then(read), 'uploadFile')
      },
      downloadFile(options) {
        const sent = fetch(options.url, { headers: options.header })
        // No header and no body in the answer: only where the file is.
        const read = async (reply) => ({
          statusCode: reply.status,
          tempFilePath: `wxfile://${(await reply.arrayBuffer()).byteLength}`,
        })
        return answer(options, sent.then(read), 'downloadFile')
      },
      connectSocket(options) {
        const headers = Object.assign({ connection: 'Upgrade', upgrade: 'websocket' }, options.header)
        const request = http.request(options.url.replace(/^ws/, 'http'), { headers })
        const opened = new Promise((done, fail) => request.on('upgrade', done).on('error', fail))
        request.end()
        return { onOpen: (listener) => opened.then(() => listener({})) }
      },
      getStorageSync: (key) => (phone.storage.has(key) ? JSON.parse(phone.storage.get(key)) : ''),
      setStorageSync: (key, value) => void phone.storage.set(key, JSON.stringify(value)),
    }
  }
}

async function request(options, headersOf) {
  const method = options.method || 'GET'
  if (!METHODS.includes(method)) throw new Error('method is invalid')
  const headers = Object.assign({ 'content-type': 'application/json' }, options.header)
  const body = method === 'POST' || method === 'PUT' ? JSON.stringify(options.data || {}) : undefined
  const reply = await fetch(options.url, { method, headers, body })
  const text = await reply.text()
  let data = text
  try {
    data = JSON.parse(text)
  } catch (_) {
    // WeChat hands over text that is no JSON as text.
  }
  return { statusCode: reply.status, header: headersOf(reply), data, errMsg: 'request:ok' }
}

module.exports = { CLIENT, GateError, Phone, createGate, platformOf }
