/** What the admin API calls things, in English. */

export const names = {
  states: { ready: 'ready', degraded: 'degraded', down: 'down' },
  components: { redis: 'Redis', database: 'Database', sql: 'Database', wechat: 'WeChat', avatars: 'Avatar store' },
  reasons: {
    unreachable: 'cannot be reached', loading: 'loads its data', read_only: 'a read-only replica', too_few_replicas: 'too few replicas',
    cluster_down: 'the cluster is down', out_of_memory: 'out of memory', disk_error: 'disk error', password_missing: 'password missing',
    password_wrong: 'wrong password', not_permitted: 'not permitted',
  },
  sessionStates: { live: 'live', kicked: 'kicked', banned: 'ended by a ban' },
  eventNames: {
    login: 'Login', login_refused: 'Login refused', shared: 'Shared session', replaced: 'Replaced', renewed: 'Renewed', logout: 'Logout', expired: 'Expired',
    kicked: 'Kicked', banned: 'Banned', unbanned: 'Ban lifted', phone_bound: 'Phone bound', account_linked: 'Account linked', account_deleted: 'Account deleted',
    sessions_ended: 'Sessions ended', access_token_discarded: 'access_token discarded',
  },
  eventSentences: {
    login: 'Logged in', login_refused: 'A login was refused', shared: 'Shared the session of a login at the same moment', replaced: 'Replaced by a newer login',
    renewed: 'The session was renewed', logout: 'Logged out', expired: 'The session had expired', kicked: 'Kicked', banned: 'Banned', unbanned: 'The ban was lifted',
    phone_bound: 'Bound a phone number', account_linked: 'A WeChat identity was linked to the account', account_deleted: 'The account was deleted',
    sessions_ended: 'Sessions were ended, all that match', access_token_discarded: 'The access_token was discarded',
  },
  eventReasons: {
    unknown: 'no such session', key_lost: 'its key has left SECRET_KEYS', new_user: 'new user', phone: 'by phone number', login: 'at a login', age: 'it had reached the longest age',
    not_served: 'its mini-program or device class is not in the settings', ended_by_operator: 'with many others', user_gone: 'the user is not in the database',
    phone_of: 'the number was of', phone_went_to: 'the number went to', user_banned: 'the account is banned',
    login_code_invalid: 'the login code is not valid', login_code_used: 'the login code was used', wechat_user_blocked: 'WeChat blocks the user',
    wechat_unavailable: 'WeChat is not available', wechat_misconfigured: 'WeChat is misconfigured', wechat_busy: 'too many wait for WeChat',
    rate_limited: 'too many', wechat_rate_limited: 'WeChat wants fewer', session_store_unavailable: 'Redis is not available', user_store_unavailable: 'the database is not available',
  },
}
