/** Makes a phone of the template, and its buttons work. */

import { translate } from './language.js'
import { Phone } from './phone.js'

export function makePhone(letter, place, options) {
  const root = document.getElementById('phone').content.cloneNode(true).firstElementChild
  root.id = `phone-${letter}`
  translate(root)
  place.append(root)
  const phone = new Phone(letter, root, options)
  const rename = root.querySelector('.rename')
  const acts = {
    login: () => phone.logIn(),
    here: () => phone.logIn(),
    phone: () => phone.logInByPhone(),
    products: () => phone.showProducts(),
    logout: () => phone.logOut(),
    bind: () => phone.bindPhone(),
    keep: () => phone.change({ renaming: false }),
    rename: () => {
      rename.nickname.value = phone.state.user.nickname
      phone.change({ renaming: true })
      rename.nickname.select()
    },
  }
  root.addEventListener('click', (event) => {
    const button = event.target.closest('[data-act]')
    if (button) acts[button.dataset.act]()
  })
  rename.addEventListener('submit', (event) => {
    event.preventDefault()
    phone.rename(rename.nickname.value)
  })
  root.querySelector('.avatar input').addEventListener('change', ({ target }) => {
    if (target.files[0]) phone.setAvatar(target.files[0])
    target.value = '' // the same file may be chosen again
  })
  phone.signIn = accounts(root, phone)
  return phone
}

/** The choice of the WeChat user; returns a function that makes it from outside. */
function accounts(root, phone) {
  const radios = [...root.querySelectorAll('.account [type=radio]')]
  const typed = root.querySelector('.typed')
  const show = () => {
    const known = radios.find((radio) => radio.value === phone.account) || radios[radios.length - 1]
    known.checked = true
    typed.hidden = Boolean(known.value)
    if (!known.value) typed.value = phone.account
  }
  for (const radio of radios) {
    radio.name = `account-${phone.letter}`
    radio.addEventListener('change', () => {
      typed.hidden = Boolean(radio.value)
      if (radio.value) phone.launch(radio.value)
      else if (typed.value.trim()) phone.launch(typed.value.trim())
      else typed.focus()
    })
  }
  typed.addEventListener('change', () => typed.value.trim() && phone.launch(typed.value.trim()))
  show()
  return (user) => {
    if (user === phone.account) return
    phone.launch(user)
    show()
  }
}
