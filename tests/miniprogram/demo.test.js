/** The demo's pages, rendered from their WXML and clicked, against the running service. */
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { after, before, test } = require('node:test')

const { JSDOM } = require('jsdom')

const { Phone } = require('./support/phone.js')
const { ROOT, pause } = require('./support/service.js')
const { stage } = require('./support/stage.js')

const PROJECT = path.join(ROOT, 'miniprogram')
const PICTURE = path.join(ROOT, 'service/http/routes/default-avatar.png')
const set = stage()
const dom = new JSDOM('<!doctype html><body></body>')
let simulate
let phone
const toasts = []
const visits = []

before(() => {
  for (const name of ['window', 'document', 'Event', 'CustomEvent', 'HTMLElement', 'Node', 'MutationObserver']) {
    globalThis[name] = name === 'window' ? dom.window : dom.window[name]
  }
  globalThis.getComputedStyle = dom.window.getComputedStyle
  simulate = require('miniprogram-simulate')
})
after(() => dom.window.close())

/** Start the demo on `who`'s phone: every module anew, the storage as it was. */
function launch(who, language = 'zh_CN', config = {}) {
  phone = who
  for (const file of Object.keys(require.cache)) {
    if (file.startsWith(PROJECT)) delete require.cache[file]
  }
  const there = { baseUrl: set.wire.url, simulatorUrl: set.simulator.url, user: who.user }
  Object.assign(require(path.join(PROJECT, 'demo/config.js')), there, config)
  globalThis.wx = Object.assign({}, who.wx, {
    getAccountInfoSync: () => ({ miniProgram: { envVersion: 'develop' } }),
    getAppBaseInfo: () => ({ language }),
    showToast: ({ title }) => toasts.push(title),
    navigateTo: ({ url }) => visits.push(url),
  })
  toasts.length = visits.length = 0
  return open('home')
}

function open(name) {
  const file = path.join(PROJECT, `demo/pages/${name}/${name}`)
  const page = simulate.render(simulate.load(file, { compiler: 'simulate', rootPath: PROJECT }))
  page.attach(document.body)
  return page
}

const text = (page) => page.dom.textContent.replace(/\s+/g, ' ')

async function shows(page, wanted, what = text) {
  const giveUp = Date.now() + 5000
  while (!wanted.test(what(page))) {
    assert.ok(Date.now() < giveUp, `${wanted} is not in: ${what(page)} ${toasts.join()}`)
    await pause(20)
  }
}

const tap = (page, selector) => page.querySelector(selector).dispatchEvent('tap')

test('one tap logs in, the products are there, logging out ends it', async () => {
  const page = launch(new Phone(set.simulator, 'demo'))
  assert.match(text(page), /微信一键登录.*手机号快捷登录.*模拟器/)
  tap(page, '.login')
  await shows(page, /更换头像.*未绑定.*商品列表.*退出登录/)
  assert.equal(phone.logins, 0, 'codes come from the simulator')
  tap(page, '.products')
  await shows(page, /^.demo.pages.products.products$/, () => visits.join())
  await shows(open('products'), /明前龙井 50g ?¥ 128\.00/)
  tap(page, '.logout')
  await shows(page, /微信一键登录/)
  await pause(100)
  assert.equal(phone.kept.stop.error, 'logged_out')
})

test('the phone number button logs in', async () => {
  const page = launch(new Phone(set.simulator, 'demo-phone'))
  tap(page, '.phone-login')
  await shows(page, /手机号 ?\+86 1\d{10}/)
})

test("WeChat's own button brings the code where there is no simulator", async () => {
  const page = launch(new Phone(set.simulator, 'demo-button'), 'zh_CN', { simulatorUrl: '' })
  assert.doesNotMatch(text(page), /模拟器/)
  await pause(50)
  assert.equal(phone.logins, 1, 'got before the button is pressed')
  const code = await set.simulator.phoneCode('demo-button', '13800000009')
  page.instance.onGetPhoneNumber({ detail: { code } })
  await shows(page, /13800000009/)
  assert.equal(phone.logins, 1)
})

test('the picture and the nickname are changed', async () => {
  const page = launch(new Phone(set.simulator, 'demo-profile'))
  tap(page, '.login')
  await shows(page, /更换头像/)
  assert.match(page.data.user.avatar, /default-avatar\.png$/)
  await page.instance.onChooseAvatar({ detail: { avatarUrl: PICTURE } })
  assert.match(page.data.user.avatar, /\/uploads\/[0-9a-f]{40}\.jpg$/)
  assert.equal((await fetch(page.data.user.avatar)).status, 200)
  await page.instance.onSaveNickname({ detail: { value: { nickname: ' ' } } })
  assert.match(toasts.pop(), /^昵称不能为空/)
  await page.instance.onSaveNickname({ detail: { value: { nickname: '小龙' } } })
  assert.equal(page.data.user.nickname, '小龙')
  assert.deepEqual(toasts, ['已保存'])
})

test('logged in elsewhere: the page says so and logs in here when told to, in English too', async () => {
  const here = new Phone(set.simulator, 'demo-two')
  const page = launch(here, 'en')
  tap(page, '.login')
  await shows(page, /Change the picture/)
  const elsewhere = new Phone(set.simulator, 'demo-two').launch(set.wire.url)
  await elsewhere.login()
  const products = open('products')
  await shows(products, /logged in on another device/)
  await shows(page, /logged in on another device ?Log in here/)
  assert.deepEqual(toasts, [])

  const restarted = launch(here, 'en')
  assert.match(text(restarted), /logged in on another device ?Log in here/)
  tap(restarted, '.login-here')
  await shows(restarted, /Change the picture/)
  const reason = await elsewhere.session().catch((error) => error)
  assert.equal(reason.error, 'session_replaced')
})

test('who logs in here on another page is logged in on the first page too', async () => {
  const user = 'demo-pages'
  const page = launch(new Phone(set.simulator, user))
  tap(page, '.login')
  await shows(page, /更换头像/)
  await new Phone(set.simulator, user).launch(set.wire.url).login()
  const products = open('products')
  await shows(products, /已在其他设备登录 ?在本机登录/)
  await shows(page, /已在其他设备登录/)
  tap(products, '.login-here')
  await shows(products, /明前龙井/)
  await shows(page, /更换头像/)
})

test('failures are shown, and do not lock the page', async () => {
  const page = launch(new Phone(set.simulator, 'demo-fails'))
  await set.simulator.fault('errcode', { errcode: 45011, times: 1 })
  tap(page, '.login')
  const giveUp = Date.now() + 3000
  while (!toasts.length && Date.now() < giveUp) await pause(20)
  assert.deepEqual(toasts, ['登录过于频繁，请稍后再试'])
  tap(page, '.login')
  await shows(page, /更换头像/)
})

test('released, it heeds no simulator', async () => {
  const released = new Phone(set.simulator, 'demo-released')
  launch(released)
  globalThis.wx.getAccountInfoSync = () => ({ miniProgram: { envVersion: 'release' } })
  for (const file of Object.keys(require.cache)) {
    if (file.startsWith(PROJECT) && !file.endsWith('config.js')) delete require.cache[file]
  }
  const before = released.logins
  const { gate, simulatedPhoneCode } = require(path.join(PROJECT, 'demo/gate.js'))
  await gate.login()
  assert.equal(released.logins, before + 1)
  assert.equal(simulatedPhoneCode, null)
})

test('the project is whole: every page and every file that it names', () => {
  const read = (name) => JSON.parse(fs.readFileSync(path.join(PROJECT, name), 'utf8'))
  const { pages, sitemapLocation } = read('app.json')
  for (const page of pages) {
    for (const kind of ['js', 'json', 'wxml']) assert.ok(fs.existsSync(path.join(PROJECT, `${page}.${kind}`)), page)
  }
  assert.ok(fs.existsSync(path.join(PROJECT, sitemapLocation)))
  assert.equal(read('project.config.json').miniprogramRoot, './')
  const texts = fs.readFileSync(path.join(PROJECT, 'demo/texts.js'), 'utf8')
  const [zh, en] = ['zh', 'en'].map((name) => texts.split(`const ${name} = {`)[1].split('\n}')[0])
  assert.deepEqual(zh.match(/^ {2}\w+(?=:)/gm), en.match(/^ {2}\w+(?=:)/gm))
})
