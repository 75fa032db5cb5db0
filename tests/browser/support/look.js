/** What a look at the page finds wrong: runs in the browser, so it can use nothing from here. */
'use strict'

/** In words: what sticks out of the window or of itself, and text too faint for WCAG's AA. */
function lookFaults() {
  const named = (one) => `${one.tagName.toLowerCase()}.${one.className} "${one.textContent.trim().slice(0, 20)}"`
  const shown = [...document.body.querySelectorAll('*')].filter((one) => one.checkVisibility())
  const faults = []
  const excess = document.documentElement.scrollWidth - innerWidth
  if (excess > 0) faults.push(`the page is ${excess} px too wide`)

  for (const one of shown) {
    const { left, right } = one.getBoundingClientRect()
    if (right > innerWidth + 1 || left < -1) faults.push(`${named(one)} sticks out of the window`)
    if (one.matches('button, .segments span, .product, .outcome') && one.scrollWidth > one.clientWidth + 1) {
      if (getComputedStyle(one).display !== 'inline') faults.push(`${named(one)} does not hold its text`)
    }
  }

  const channels = (color) => color.match(/[\d.]+/g).map(Number)
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = channels(getComputedStyle(at).backgroundColor)
      if (alpha > 0) return [r, g, b]
    }
    return [255, 255, 255]
  }
  for (const one of shown) {
    const says = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())
    if (!says || one.closest('[aria-disabled=true], :disabled')) continue
    const pair = [luminance(channels(getComputedStyle(one).color).slice(0, 3)), luminance(ground(one))].sort((a, b) => b - a)
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05)
    if (ratio < 4.5) faults.push(`${named(one)} has a contrast of ${ratio.toFixed(2)} only`)
  }
  return faults
}

module.exports = { lookFaults }
