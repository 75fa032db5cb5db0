/** The page: two phones side by side, and the switches. */

import { makePhone } from './handset.js'
import { Jump } from './jump.js'
import { choose, language, onLanguage, t } from './language.js'
import { Simulator } from './simulator.js'
import { Switches } from './switches.js'

const find = (selector) => document.querySelector(selector)

/** Say what is missing, in place of phones that could not work. */
function lack(name, ...values) {
  const show = () => {
    find('.missing h2').textContent = t(name)
    find('.missing p').textContent = t(`${name}Why`, values[0])
    find('.missing-next').textContent = t(`${name}Next`, values[1])
  }
  find('.missing').hidden = false
  onLanguage(show)
  show()
}

async function readConfig() {
  const reply = await fetch('/demo/config.json')
  return (await reply.json()).data
}

async function start() {
  const config = await readConfig().catch(() => null)
  if (!config) return lack('serviceAway')
  if (!config.simulatorUrl) return lack('wechatIsReal')
  const simulator = new Simulator(config.simulatorUrl)
  if (!(await simulator.isThere())) {
    const port = location.port ? `:${location.port}` : ''
    return lack('simulatorAway', simulator.url, `http://127.0.0.1${port}/`)
  }

  find('.phones').hidden = find('.side').hidden = false
  const jump = new Jump(find('.jump'))
  const place = find('.phones')
  const phones = ['A', 'B'].map((letter) => makePhone(letter, place, { simulator, appid: config.appid }))
  const other = (phone) => phones.find((one) => one !== phone)
  const seconds = config.loginCoalesceMs / 1000

  for (const phone of phones) {
    phone.addEventListener('change', () => jump.showPhone(phone))
    phone.addEventListener('login', ({ detail }) => {
      const second = other(phone)
      if (!second.gate.loggedIn || second.account !== phone.account) return
      if (second.sessionid === detail.sessionid) share()
      else second.work.then(() => second.check())
    })
  }

  /** After what the phones say of their logins. */
  function share() {
    setTimeout(() => phones.forEach((phone) => phone.change({ said: ['shared', seconds] })))
  }

  const relabel = () => {
    phones.forEach((phone) => phone.relabel())
    find('.explained').textContent = seconds ? t('coalesced', seconds) : t('strict')
  }
  onLanguage(relabel)
  relabel()
  find('[data-act=together]').addEventListener('click', async () => {
    phones[1].signIn(phones[0].account)
    await Promise.all(phones.map((phone) => phone.work))
    phones.forEach((phone) => phone.logIn())
  })
  // A mini-program that comes to the front asks whether its session still holds.
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') phones.forEach((phone) => phone.gate.loggedIn && phone.check())
  })
  const onPlugged = () =>
    phones.forEach((phone) => phone.gate.loggedIn && phone.check(phone.state.error ? ['recovered'] : undefined))
  const onShown = (broken) => jump.showPanel(broken)
  await new Switches(find('.panel'), { simulator, onPlugged, onShown }).read()
}

for (const button of document.querySelectorAll('[data-language]')) {
  button.addEventListener('click', () => choose(button.dataset.language))
}
choose(language())
start()
