/** The admin page while things go wrong, with hostile words, and by keyboard. */
'use strict'

const assert = require('node:assert/strict')
const { after, afterEach, before, beforeEach, describe, it } = require('node:test')
const { openMadeUpStage } = require('./support/admin_stage.js')
const { AdminState } = require('./support/admin_state.js')
const { openBrowser, openPage } = require('./support/browser.js')
const { Operator } = require('./support/operator.js')
const { PATIENCE } = require('./support/phone.js')

const HOSTILE = '<img src=x onerror=hacked=1>'
const APPID = 'wx0123456789abcdef'

describe('the admin page, come what may', () => {
  let stage, browser, seen, page, operator, state

  before(async () => {
    stage = await openMadeUpStage()
    browser = await openBrowser('zh-CN')
  })
  after(async () => {
    await (browser && browser.close())
    await (stage && stage.stop())
  })
  beforeEach(async () => {
    state = Object.assign(stage.state, new AdminState())
    seen = await openPage(browser.context, `${stage.url}/admin`)
    page = seen.page
    operator = new Operator(page, stage)
  })
  afterEach(async () => {
    await page.evaluate(() => localStorage.clear())
    await page.close()
    assert.deepEqual(seen.faults, [])
  })

  const isOverview = (request) => request.url().endsWith('/admin/overview')
  const overviews = () => seen.urls.filter((url) => url.endsWith('/admin/overview')).length

  /** The browser's time stands still until it is moved. */
  async function stopTime() {
    page.on('request', (request) => isOverview(request) && underWay.add(request))
    for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => underWay.delete(request))
    await page.clock.install()
    await page.clock.pauseAt(Date.now() + 1000)
  }
  const underWay = new Set()

  /** Move it; what was asked by then has been answered. */
  async function pass(seconds) {
    await page.clock.runFor(seconds * 1000)
    const flush = () => page.evaluate(() => fetch('/admin/page/icon.svg').then((reply) => reply.text()))
    do await flush()
    while (underWay.size)
    await flush()
  }

  it('names what is away, why and since when, in every view', async () => {
    await operator.enter()
    Object.assign(state, { ill: 'password_wrong', illSince: Date.now() - 95000 })
    await operator.reads('Redis：不可用，密码错误（自 ', operator.standing)
    await operator.reads('仍未恢复，已 1 分')
    assert.equal(await page.locator('.chart').first().locator('.band').count(), 2, 'both outages are bands')
    await operator.go('settings')
    await operator.reads('密码错误', operator.standing)
    state.ill = 'a reason of tomorrow'
    await operator.reads('a reason of tomorrow', operator.standing)
    state.ill = ''
    await operator.reads('一切正常', operator.standing)
  })

  it('says what cannot be told, and lets sessions be ended all the same', async () => {
    Object.assign(state, { untold: true, ill: 'unreachable', illSince: Date.now() })
    await operator.enter()
    await operator.reads('Redis：不可用', operator.standing)
    await operator.reads('现在无法得知')
    assert.equal(await page.locator('.figures dd').first().innerText(), '–')
    await operator.go('sessions')
    await page.locator('#end-app').fill('wxnobody')
    await operator.press('统计数量')
    await page.locator('.counted .fault').waitFor(PATIENCE)
    assert.equal(await operator.view.getByRole('button', { name: '结束这些会话…' }).isVisible(), false)
    await page.locator('#end-app').fill(APPID)
    await operator.press('统计数量')
    await operator.reads('会话服务暂不可用')
    await operator.press('结束这些会话…')
    await operator.reads(APPID, operator.dialog)
    await operator.reads('数量未知', operator.dialog)
    await operator.agree()
    await operator.reads('所有工作进程都会拒绝', operator.notice)
    assert.deepEqual([...state.ended], [APPID])
  })

  it('says in words why something happened', async () => {
    const id = state.add({ nickname: '小红' })
    state.record('login_refused', { user: id, reason: 'wechat_misconfigured:40125' })
    state.record('expired', { user: id, reason: 'key_lost' })
    state.record('banned', { user: id, reason: 'phone: 骚扰', by: 'alice' })
    state.record('made_tomorrow', { user: id })
    state.why = Array.from({ length: 8 }, (_, place) => ({ at: Date.UTC(2026, 10, 27, 2, 3, 5 - place), handle: `h${place}`, zh: '被管理员 alice 强制下线。', en: 'Ended by the operator alice (kick).' }))
    await operator.enter()
    await page.evaluate((user) => (location.hash = `#/users/${user}`), id)
    await operator.reads('登录被拒绝（原因：微信配置有误：40125）')
    await operator.reads('会话已过期（原因：密钥已不在 SECRET_KEYS 中）')
    await operator.reads('被封禁，操作者 alice（原因：phone: 骚扰）')
    await operator.reads('made_tomorrow')
    await operator.reads('11-27 10:03:05 被管理员 alice 强制下线。 h0')
    assert.equal(await page.locator('.why li:visible').count(), 5)
    await page.locator('summary', { hasText: '更早的 3 次' }).click()
    assert.equal(await page.locator('.why li:visible').count(), 8)
    await page.locator('[data-language=en]').click()
    await operator.reads('Ended by the operator alice (kick).')
    await operator.reads('A login was refused (WeChat is misconfigured: 40125)')
  })

  it('says since when nobody answers, asks ever more slowly, and comes back', async () => {
    await operator.enter()
    await stopTime()
    state.away = true
    await pass(6)
    await operator.reads('起没有应答', operator.standing)
    assert.match(await operator.standing.innerText(), /自 \d\d:\d\d:\d\d 起/)
    const soon = overviews()
    for (let second = 0; second < 60; second += 5) await pass(5)
    const later = overviews()
    for (let second = 0; second < 240; second += 5) await pass(5)
    assert.ok(later - soon >= 2 && later - soon <= 4, `${later - soon} attempts in a minute`)
    assert.ok(overviews() - later <= 5, `${overviews() - later} attempts in four more`)
    assert.equal(await page.locator('.overview').isVisible(), true, 'what was told last stays')
    state.away = false
    await page.locator('[data-act=retry]').click()
    await operator.reads('一切正常', operator.standing)
    const back = overviews()
    await pass(6)
    assert.equal(overviews(), back + 1, 'as often as before')
    seen.faults = seen.faults.filter((one) => !one.includes('ERR_EMPTY_RESPONSE'))
  })

  it('asks for nothing while nobody looks', async () => {
    await operator.enter()
    await stopTime()
    const turn = (hidden) => page.evaluate((to) => {
      Object.defineProperty(document, 'hidden', { value: to, configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))
    }, hidden)
    await turn(true)
    const asked = overviews()
    await pass(300)
    assert.equal(overviews(), asked)
    await turn(false)
    await pass(0)
    assert.equal(overviews(), asked + 1, 'at once when somebody does')
    await pass(6)
    assert.equal(overviews(), asked + 2)
  })

  it('asks for the token again when it is no longer taken, and shows nothing more', async () => {
    const person = await stage.person('小红')
    await operator.enter()
    await operator.see(person)
    state.revoked = true
    await operator.press('全部强制下线')
    await operator.agree()
    await page.locator('#secret').waitFor(PATIENCE)
    await operator.reads('访问凭证无效')
    const shown = await page.evaluate(() => document.body.outerHTML)
    assert.ok(!shown.includes(person.id) && !shown.includes('小红'))
    assert.equal(await person.error('phone'), '')
  })

  it('forgets what an answer says that comes after it was locked', async () => {
    const person = await stage.person('晚到')
    await operator.enter()
    await operator.see(person)
    let release
    await page.route('**/kick', async (route) => {
      await new Promise((done) => (release = done))
      await route.continue()
    })
    await operator.press('全部强制下线')
    await operator.agree()
    while (!release) await new Promise((done) => setTimeout(done, 10))
    await page.locator('[data-act=lock]').click()
    await page.evaluate(() => {
      globalThis.told = ''
      const place = document.querySelector('.notice-text')
      new MutationObserver(() => (globalThis.told += place.textContent)).observe(place, { childList: true })
    })
    const answered = page.waitForResponse('**/kick')
    release()
    await (await answered).finished()
    await page.evaluate(() => fetch('/admin/page/icon.svg').then((reply) => reply.text()))
    assert.equal(await person.error('phone'), 'session_kicked')
    assert.equal(await page.locator('#secret').isVisible(), true)
    assert.equal(await page.evaluate(() => globalThis.told), '')
  })

  it('puts errors into words, with the id of the request', async () => {
    const person = await stage.person('小红')
    await operator.enter()
    await operator.see(person)
    const kick = async () => {
      await operator.press('全部强制下线')
      await operator.agree()
    }
    state.error = [503, 50300, 'session_store_unavailable', '会话服务暂不可用']
    await kick()
    await operator.reads(/会话服务暂不可用[^]*requestId fake-\d+/, operator.notice)
    await page.locator('.user .fault').waitFor(PATIENCE)
    state.error = null
    await operator.see(person)
    state.proxyFault = true
    await kick()
    await operator.reads('不是本服务的应答（HTTP 502）', operator.notice)
    state.proxyFault = false
    await operator.find('id', 'nobody')
    await operator.reads('没有找到用户')
    await page.evaluate(() => (location.hash = '#/users/nobody'))
    await operator.reads('没有这个用户')
  })

  it('takes everything for text, and pictures from the service only', async () => {
    const id = state.add({ nickname: HOSTILE, avatar: 'https://203.0.113.9/x.png', phone: HOSTILE })
    state.record('login_refused', { user: id, reason: HOSTILE, by: HOSTILE, appid: HOSTILE, device: HOSTILE, address: HOSTILE, handle: HOSTILE, requestId: HOSTILE })
    state.record(HOSTILE, { user: HOSTILE })
    Object.assign(state.sessions[0], { appid: HOSTILE, device: HOSTILE, state: HOSTILE })
    Object.assign(state, { ill: HOSTILE, illSince: Date.now(), why: [{ at: 1, handle: HOSTILE, zh: HOSTILE, en: HOSTILE }] })
    for (const avatar of ['https://203.0.113.9/x.png', '//203.0.113.9/x.png', 'data:image/png;base64,x', '/\\203.0.113.9/x.png']) {
      state.users[0].avatar = avatar
      await page.evaluate(() => (location.hash = ''))
      await page.reload()
      await operator.enter()
      await page.evaluate((user) => (location.hash = `#/users/${user}`), id)
      await operator.reads(HOSTILE)
      assert.equal(await page.locator('.picture').count(), 0, avatar)
    }
    await operator.go('events')
    await operator.reads(`登录被拒绝，操作者 ${HOSTILE}（原因：${HOSTILE}）`)
    await operator.go('overview')
    await operator.reads(HOSTILE, operator.standing)
    assert.equal(await page.locator('img:not([src^="/admin/page/"])').count(), 0)
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined)
  })

  it('could not make HTML of text even if it tried', async () => {
    const refused = await page.evaluate((html) => {
      try {
        document.querySelector('.view').innerHTML = html
        return 'taken'
      } catch (fault) {
        return fault.name
      }
    }, HOSTILE)
    assert.equal(refused, 'TypeError')
    seen.faults = seen.faults.filter((one) => !/TrustedHTML/.test(one))
  })

  it('loads more of what is long', async () => {
    for (let one = 0; one < 130; one += 1) state.add({ nickname: `茶客${one}`, apps: [APPID] })
    await operator.enter()
    await operator.find('nickname', '茶客')
    await operator.reads('已显示 50 个用户，还有更多')
    for (const count of [100, 130]) {
      await operator.press('加载更多')
      await page.waitForFunction((wanted) => document.querySelectorAll('.found tbody tr').length === wanted, count)
    }
    assert.equal(await page.getByRole('button', { name: '加载更多' }).isVisible(), false)
    await operator.go('events')
    await operator.reads('已显示 100 条，还有更早的')
    await operator.press('加载更多')
    await operator.reads('共 130 条')
    assert.equal(await page.locator('.events li').count(), 130)
    const user = state.users[3].id
    await page.locator('#event-user').fill(user)
    await page.locator('.filters [type=submit]').click()
    await operator.reads('共 1 条')
  })

  it('can be used by keyboard alone', async () => {
    const person = await stage.person('小红')
    await page.keyboard.type(stage.token)
    await page.keyboard.press('Enter')
    await page.locator('.overview').waitFor(PATIENCE)
    const until = async (words) => {
      for (let step = 0; step < 60; step += 1) {
        await page.keyboard.press('Tab')
        if ((await page.evaluate(() => document.activeElement.textContent)) === words) return page.keyboard.press('Enter')
      }
      throw new Error(`${words} is not reached`)
    }
    await page.evaluate((id) => (location.hash = `#/users/${id}`), person.id)
    await page.locator('.user .acts').waitFor(PATIENCE)
    await until('全部强制下线')
    assert.equal(await page.evaluate(() => document.activeElement.textContent), '取消', 'not yes by a second Enter')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await operator.reads('已强制下线 2 个会话', operator.notice)
    assert.notEqual(await page.evaluate(() => document.activeElement.tagName), 'BODY')
  })

  it('takes theme and language from the browser, then from whoever uses it', async () => {
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
    await page.emulateMedia({ colorScheme: 'light' })
    const light = await ground()
    await page.emulateMedia({ colorScheme: 'dark' })
    const dark = await ground()
    assert.notEqual(light, dark)
    await page.locator('[data-act=theme]').click()
    assert.equal(await ground(), light)
    await page.locator('[data-language=en]').click()
    await page.reload()
    assert.equal(await ground(), light)
    assert.equal(await page.locator('html').getAttribute('lang'), 'en-GB')
    await operator.enter()
    await operator.reads('All is well', operator.standing)
  })
})
