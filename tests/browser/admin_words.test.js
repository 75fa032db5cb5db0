/** The words of the admin page, without a browser. */
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { ROOT } = require('./support/service.js')

const PAGE = path.join(ROOT, 'service/http/admin_page')
const read = (name) => fs.readFileSync(path.join(PAGE, name), 'utf8')
const load = (name) => import(`data:text/javascript,${encodeURIComponent(read(name))}`)
const files = fs.readdirSync(PAGE).filter((name) => /\.(js|html)$/.test(name) && !/^(words|names)_/.test(name))

async function wordsOf(language) {
  const words = (await load(`words_${language}.js`))[language]
  const { names } = await load(`names_${language}.js`)
  return { ...words, ...names }
}

/** Names of words, of those in groups too, with how many values they take. */
const shape = (words, before = '') =>
  Object.entries(words).flatMap(([name, found]) =>
    typeof found === 'object' ? shape(found, `${before}${name}.`) : [`${before}${name}/${typeof found === 'function' ? found.length : 0}`]).sort()

test('both languages say the same things', async () => {
  assert.deepEqual(shape(await wordsOf('zh')), shape(await wordsOf('en')))
})

test('Chinese is in Chinese, English in English', async () => {
  const texts = (words) => Object.values(words).flatMap((found) => (typeof found === 'object' ? texts(found) : String(found)))
  assert.doesNotMatch(texts(await wordsOf('en')).join(' '), /[\u4e00-\u9fff]/)
  const bare = texts(await wordsOf('zh')).filter((text) => !/[\u4e00-\u9fff]/.test(text))
  assert.deepEqual([...new Set(bare)].sort(), ['Redis', 'openid', 'unionid', '；'].sort())
})

test('what the page says has words, and there are none that it does not say', async () => {
  const words = await wordsOf('zh')
  const source = files.map(read).join('\n')
  const used = [...source.matchAll(/(?:\bt\(|oneOf\(|\bt: |tLabel: |data-t(?:-label)?=)['"](\w+)['"]/g)].map(([, name]) => name)
  assert.ok(used.length > 100)
  assert.deepEqual(used.filter((name) => !(name in words)), [])
  const named = new Set(source.match(/\w+/g))
  const made = /^(by|hint)_|Latency$|^(appsHint|deviceHint|beforeHint)$|^(not_ours)$/
  assert.deepEqual(Object.keys(words).filter((name) => !named.has(name) && !made.test(name)), [])
})
