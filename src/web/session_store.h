/* session_store.h - where sessions are kept: what every store can do.
 *
 * A store maps the id of a session to bytes that end by themselves some time after they were last
 * saved or touched. It may answer at once (`immediate`) or later, from the loop; nothing ever waits
 * in a call. Each call's bytes are copied.
 *
 * A save that only replaces (`existing`) keeps a session that was ended meanwhile from coming back.
 * Otherwise the last of two writers wins. */
#ifndef CREW_WEB_SESSION_STORE_H
#define CREW_WEB_SESSION_STORE_H

#include "base/base.h"

struct crew__store;

/* `status` 0: here they are, lent until this returns, and end in `left_ms`; -ENOENT: no such
 * session; another errno: the store could not tell. */
typedef void crew__store_fetched_fn(void *arg, int status, crew_bytes bytes, int64_t left_ms);

struct crew__store_ops {
	/* fetch() calls `fetched` before it returns. */
	bool immediate;
	/* 0: `fetched` is (or was) called, exactly once. Negative: it is not: -ENOTCONN (the store is
	 * away), -EAGAIN (too many wait for it), -ENOMEM. */
	int (*fetch)(struct crew__store *store, const char *id, crew__store_fetched_fn *fetched,
		void *arg);
	/* 0: taken; should it fail later, the store says so in the log. Else a negative errno and
	 * nothing is kept. -ENOENT: `existing` and not there. */
	int (*save)(struct crew__store *store, const char *id, crew_bytes bytes, int64_t life_ms,
		bool existing);
	int (*touch)(struct crew__store *store, const char *id, int64_t life_ms);
	int (*remove)(struct crew__store *store, const char *id);
	/* What waits is lost and told: `fetched` with -ESHUTDOWN. The store is void. */
	void (*close)(struct crew__store *store);
};

struct crew__store {
	const struct crew__store_ops *ops;
};

#endif
