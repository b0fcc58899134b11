/* session_redis.h - sessions in Redis, for more than one machine.
 *
 * Keys are "crew:session:" and the id. A change is written to the connection before the call
 * returns, but for when the kernel takes no more; what Redis says to it is not waited for, only
 * logged when it is bad. While Redis is away everything is refused at once; while it is slow, at
 * most 1024 wait for at most a second each. */
#ifndef CREW_WEB_SESSION_REDIS_H
#define CREW_WEB_SESSION_REDIS_H

#include "loop/loop.h"
#include "web/session_store.h"

struct crew__redis_url;

/* Begins to connect. 0 or -ENOMEM. */
int crew__redis_open(struct crew__loop *loop, const struct crew__redis_url *url,
	struct crew__store **ret_store);

/* How many wait. For tests. */
size_t crew__redis_waiting(const struct crew__store *store);

#endif
