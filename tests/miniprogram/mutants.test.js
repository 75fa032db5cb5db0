/** The suite notices when a rule of the client is taken out. */
'use strict'

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, test } = require('node:test')

const SOURCE = fs.readFileSync(path.resolve(__dirname, '../../miniprogram/minigate/index.js'), 'utf8')
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'minigate-mutants-'))
after(() => fs.rmSync(folder, { recursive: true, force: true }))

/** [what is wrong, [the source's text, what stands there instead], the file and the test in it that must fail]. */
const MUTANTS = [
  ['each call logs in by itself', ['    if (loggingIn) {\n      const', '    if (false) {\n      const'], 'sessions', 'ten requests at launch'],
  ['any 401 ends the session that is kept', ['if (kept.id === id) {', 'if (true) {'], 'sessions', 'the 401 of an old session'],
  ['our own former session counts', ['if (kept.id === id) {', 'if (kept.id) {'], 'sessions', 'our own former session'],
  ['nothing is repeated after a new login', ['let again = true', 'let again = false'], 'sessions', 'find the session dead'],
  ['401s are answered for ever', ['if (!again || ', 'if ('], 'sessions', 'no answer whatever'],
  ['a failed login is tried again at once', ['if (quiet && ', 'if (false && '], 'sessions', 'for good .wechat_misconfigured'],
  ['the id goes anywhere', ['if (!known) throw', 'if (false) throw'], 'sessions', 'the id goes to no address'],
  ['a replaced session logs in silently', ["  session_replaced: 'replaced',\n", ''], 'replaced', 'two phones that poll'],
  ['a kicked session logs in silently', ["  session_kicked: 'kicked',\n", ''], 'replaced', 'kicked by an operator'],
  ['a restart forgets why it is logged out', ["typeof found === 'object' ? found", "typeof found === 'object' ? { id: found.id }"], 'replaced', 'the replaced phone is told once'],
  ['a 401 without a reason is taken for an expired session', ['(await explained(res, id))', "failure(res, 'session_expired')"], 'replaced', 'downloads, whose answers'],
  ['a login is repeated under a new key', ["'Idempotency-Key': key", "'Idempotency-Key': randomKey()"], 'outages', 'a lost answer to a login'],
  ['a new code goes out under the former key', ['        key = randomKey()\n', ''], 'outages', 'after login_code_used'],
  ['a lost answer to a login is not asked for again', ['const passing = !res ||', 'const passing ='], 'outages', 'a lost answer to a login'],
  ['a 503 ends the session', ['(res.statusCode === 401 &&', '(res.statusCode >= 401 && failure(res, "session_expired")) || (res.statusCode === 401 &&'], 'outages', 'if Redis stays away'],
  ['a 429 with a hint is answered at once', ['res.statusCode >= 429) await', 'res.statusCode >= 500) await'], 'outages', 'same code waits'],
  ['Retry-After is waited for to the millisecond', ['ms * (1 + Math.random() / 2)', 'ms'], 'outages', 'Retry-After: waited'],
  ['a logout that nobody heard is forgotten', ['kept.id || kept.ending', 'kept.id'], 'outages', 'found no network is sent again'],
  ['a refused login forgets which session is to be ended', [', ending: kept.ending })', ' })'], 'outages', 'a login that is refused does not cost'],
  ['a late logout takes the login after it along', ['if (kept.ending === id) ', ''], 'outages', 'a logout that comes late'],
  ['only HTTP 401s count', ['const name = told ? told[1] :', "const name = res.statusCode !== 401 ? '' : told ? told[1] :"], 'status200', 'a dead session is seen'],
  ['an upload forgets the header', ['given.header, { sessionid: id }', 'given.header, !given.filePath && { sessionid: id }'], 'carried', 'carry the header'],
  ['a failed phone login is taken for the end of all logins', ["if (path === '/login') quiet", 'quiet'], 'phone', 'a call that waits'],
  ['two phone logins overlap', ['while (loggingIn) await loggingIn.catch(() => {})\n    return begin', 'return begin'], 'phone', 'a button pressed twice'],
  ['a login that is too old is left to the caller', ['malformed)|login_too_old)', 'malformed))'], 'fresh', 'changing a number takes'],
  ['a session is thrown away for its age over and over', ["again || error.error !== 'login_too_old'", 'true'], 'fresh', 'told so twice'],
  ['the prepared code is not used', ['(await code)) || freshCode()', 'false) || freshCode()'], 'phone', 'got before the button'],
]

function run(name, source, suite, pattern) {
  const file = path.join(folder, `${name.replace(/\W+/g, '-')}.js`)
  fs.writeFileSync(file, source)
  const env = Object.assign({}, process.env, { MINIGATE_CLIENT: file, E2E_LONG: '' })
  delete env.NODE_TEST_CONTEXT // or the child would report to this run
  const arguments_ = ['--test', '--test-reporter=spec', '--test-timeout=60000', `--test-name-pattern=${pattern}`]
  const child = spawn(process.execPath, [...arguments_, `${suite}.test.js`], { cwd: __dirname, env })
  const printed = []
  child.stdout.on('data', (text) => printed.push(text))
  child.stderr.on('data', (text) => printed.push(text))
  return new Promise((done) => child.on('close', (status) => done({ status, printed: printed.join('') })))
}

const skip = process.env.E2E_LONG !== '1' && 'takes minutes: E2E_LONG=1 runs them'

test('mutants', { concurrency: 3, skip }, async (t) => {
  const suites = [...new Set(MUTANTS.map(([, , suite]) => suite))]
  const controls = suites.map((suite) =>
    t.test(`control: ${suite}.test.js passes with a copy that is whole`, async () => {
      const patterns = MUTANTS.filter((mutant) => mutant[2] === suite).map((mutant) => mutant[3])
      const { status, printed } = await run(`control-${suite}`, SOURCE, suite, `(${[...new Set(patterns)].join('|')})`)
      assert.equal(status, 0, printed)
      for (const pattern of patterns) assert.match(printed, new RegExp(`✔.*${pattern}`))
    })
  )
  const mutants = MUTANTS.map(([what, [text, instead], suite, pattern]) =>
    t.test(`${suite}.test.js fails where ${what}`, async () => {
      assert.equal(SOURCE.split(text).length, 2, `not once in the source: ${text}`)
      const { status, printed } = await run(what, SOURCE.replace(text, () => instead), suite, pattern)
      assert.notEqual(status, 0, `nothing failed:\n${printed}`)
      assert.match(printed, new RegExp(`✖.*${pattern}`))
    })
  )
  await Promise.all([...controls, ...mutants])
})
