/** wafer2-client-sdk as npm has it, one copy for each phone: it takes `wx` from the air. */
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const vm = require('node:vm')

/** A fresh copy of the SDK, every file as published, whose `wx` is this one. */
function loadSdk(wx) {
  const loaded = new Map()
  const load = (file) => {
    if (loaded.has(file)) return loaded.get(file).exports
    const module = { exports: {} }
    loaded.set(file, module)
    const source = fs.readFileSync(file, 'utf8')
    const run = vm.compileFunction(source, ['require', 'module', 'exports', 'wx', 'console'], { filename: file })
    const near = (name) => load(require.resolve(path.resolve(path.dirname(file), name)))
    // It shouts about each failed login.
    run(near, module, module.exports, wx, Object.assign({}, console, { error() {} }))
    return module.exports
  }
  return load(require.resolve('wafer2-client-sdk'))
}

/** A call of the SDK as a promise. */
const promised = (call, options) => {
  return new Promise((success, fail) => call(Object.assign({}, options, { success, fail })))
}

/** A mini-program on `phone`; like every one of them it names its login address once. */
function launchWafer(phone, loginUrl) {
  const getUserInfo = ({ success, fail }) => {
    const profile = phone.simulator.profile(phone.user, phone.nickName, { openid: true })
    profile.then(({ encryptedData, iv, rawData }) => success({ encryptedData, iv, userInfo: JSON.parse(rawData) }), fail)
  }
  const removeStorageSync = (key) => void phone.storage.delete(key)
  // Its tunnel, a service of Tencent's that has ended, listens as soon as it is loaded.
  const listeners = { onSocketOpen() {}, onSocketMessage() {}, onSocketError() {}, onSocketClose() {} }
  const sdk = loadSdk(Object.assign({}, phone.wx, listeners, { getUserInfo, removeStorageSync }))
  sdk.setLoginUrl(loginUrl)
  return {
    sdk,
    login: () => promised(sdk.login),
    loginWithCode: () => promised(sdk.loginWithCode),
    request: (options) => promised(sdk.request, options),
    get skey() {
      return (sdk.Session.get() || {}).skey
    },
  }
}

module.exports = { launchWafer }
