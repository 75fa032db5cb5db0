/** What the admin API calls things, in Chinese. */

export const names = {
  states: { ready: '正常', degraded: '部分可用', down: '不可用' },
  components: { redis: 'Redis', database: '数据库', sql: '数据库', wechat: '微信', avatars: '头像存储' },
  reasons: {
    unreachable: '连接不上', loading: '正在载入数据', read_only: '只读副本', too_few_replicas: '副本不足', cluster_down: '集群不可用',
    out_of_memory: '内存已满', disk_error: '磁盘出错', password_missing: '缺少密码', password_wrong: '密码错误', not_permitted: '权限不足',
  },
  sessionStates: { live: '有效', kicked: '已强制下线', banned: '因封禁而结束' },
  eventNames: {
    login: '登录', login_refused: '登录被拒', shared: '共用会话', replaced: '被顶下线', renewed: '续期', logout: '退出登录', expired: '过期',
    kicked: '强制下线', banned: '封禁', unbanned: '解封', phone_bound: '绑定手机号', account_linked: '账号关联', account_deleted: '删除账号',
    sessions_ended: '批量结束会话', access_token_discarded: '作废 access_token',
  },
  eventSentences: {
    login: '登录成功', login_refused: '登录被拒绝', shared: '与同一时刻的登录共用会话', replaced: '被更新的登录顶下线', renewed: '会话已续期',
    logout: '用户退出登录', expired: '会话已过期', kicked: '被强制下线', banned: '被封禁', unbanned: '已解封', phone_bound: '绑定了手机号',
    account_linked: '新的微信身份关联到该账号', account_deleted: '账号已删除', sessions_ended: '批量结束了会话', access_token_discarded: '作废了 access_token',
  },
  eventReasons: {
    unknown: '没有这个会话', key_lost: '密钥已不在 SECRET_KEYS 中', new_user: '新用户', phone: '按手机号', login: '登录时', age: '达到最长寿命', not_served: '小程序或设备类别已不在配置中',
    ended_by_operator: '批量结束', user_gone: '用户已不在数据库中', phone_of: '手机号来自账号', phone_went_to: '手机号转到账号', user_banned: '账号被封禁',
    login_code_invalid: '登录凭证无效', login_code_used: '登录凭证已被使用', wechat_user_blocked: '微信拒绝该用户', wechat_unavailable: '微信不可用',
    wechat_misconfigured: '微信配置有误', wechat_busy: '等待微信的登录太多', rate_limited: '过于频繁', wechat_rate_limited: '微信限流',
    session_store_unavailable: 'Redis 不可用', user_store_unavailable: '数据库不可用',
  },
}
