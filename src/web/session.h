/* session.h - the values of one session in memory, their form in a store, and session ids.
 *
 * Not here: where sessions are kept (session_store.h), cookies, requests (service/http_session.c).
 *
 * What was handed out stays where it is until crew__values_fini: a value that is replaced or
 * deleted only leaves the list. All memory is of one arena, so what a handler can make a session cost is
 * bounded, however often it sets.
 *
 * A value set by flash is NEW until the session is stored and read again; then it is OLD, and
 * crew__values_age takes it away before the session is stored once more. */
#ifndef CREW_WEB_SESSION_H
#define CREW_WEB_SESSION_H

#include "base/arena.h"

enum {
	CREW__VALUES_BYTES = 64 * 1024,   /* names and values of a session together */
	CREW__VALUES_MOST = 1000,         /* how many there may be */
	CREW__VALUES_MEMORY = 1024 * 1024, /* what replaced ones may take as well */
	CREW__VALUES_ENCODED = 80 * 1024, /* never longer in a store */
	CREW__SESSION_ID = 43,            /* 32 bytes in base64url */
};

struct crew__value;

struct crew__values {
	struct crew__arena arena;
	struct crew__value *items;
	size_t count, capacity;
	size_t bytes; /* of all names and values */
	crew_header *all; /* as it was last handed out; NULL: not since the last change */
	bool changed;     /* since crew__values_init or crew__values_decode */
};

void crew__values_init(struct crew__values *v); /* in place, owning nothing */
void crew__values_fini(struct crew__values *v);

/* A view with a NUL behind it; data NULL when there is none. */
crew_bytes crew__values_get(const struct crew__values *v, const char *key);
/* 0, -EINVAL (an empty or missing key, no data), -EMSGSIZE (the bounds above), -ENOMEM. A flash is
 * there in what decode reads next, and gone from then on. */
int crew__values_set(struct crew__values *v, const char *key, crew_bytes value, bool flash);
int crew__values_remove(struct crew__values *v, const char *key); /* 0, -ENOENT */
void crew__values_clear(struct crew__values *v);
/* All of them; NULL when there is none, or without memory (then the count is 0). */
const crew_header *crew__values_all(struct crew__values *v, size_t *ret_count);
/* What was a flash when it was read has been seen. */
void crew__values_age(struct crew__values *v);

/* As bytes, allocated by malloc: 0, -ENOMEM. `scope` (at most 1 KiB) names for whom they are: only
 * who asks by the same scope can read them. */
int crew__values_encode(
	const struct crew__values *v, const char *scope, char **ret_data, size_t *ret_len);
/* Back, into values that are empty. Nothing in the bytes is trusted: -EPROTO for what encode cannot
 * have written, or a newer crew did; -EPERM for another scope; -ENOMEM. They are empty then. */
int crew__values_decode(struct crew__values *v, const char *scope, crew_bytes bytes);

/* 43 characters of the kernel's randomness, and a NUL. 0 or an errno. */
int crew__session_id_make(char ret_id[CREW__SESSION_ID + 1]);
/* Could it be one of ours? */
bool crew__session_id_valid(crew_bytes id);

#endif
