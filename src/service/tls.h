/* tls.h - TLS of a service: from the files' memory to what its connections are made with.
 *
 * A worker takes a set of certificates whole or not at all. Connections keep what they began with;
 * those that come are made with the newest set that proved sound. */
#ifndef CREW_SERVICE_TLS_H
#define CREW_SERVICE_TLS_H

#include "service/tls_files.h"
#include "service/worker.h"

/* With what tickets are sealed: see crew__tls_epoch(). */
struct crew__tls_secret {
	uint64_t epoch;
	unsigned char bytes[CREW__TLS_SECRET];
};
/* A new one. 0, -EIO: the kernel has no random bytes. */
int crew__tls_secret_new(struct crew__tls_secret *secret);
/* Bring it to the epoch before the present one, which is what a worker that starts is given. */
void crew__tls_secret_advance(struct crew__tls_secret *secret);

static inline bool crew__service_speaks_tls(const struct crew__service_settings *settings)
{
	return settings->tls_cert != NULL;
}

/* Would the files do? 0, or a negative errno with a sentence. */
int crew__tls_check(
	const struct crew__service_settings *settings, char *ret_error, size_t error_size);
/* Of all services: the sentence names which. */
int crew__tls_check_all(const struct crew__settings *settings, char *ret_error, size_t error_size);

/* Take that set, from crew__tls_files_read(); `files_fd` stays the caller's. `loud`: log it, and
 * note the event. 0, or a negative errno with a sentence (which is logged when `loud`): what was in
 * force stays so. */
int crew__worker_take_tls(crew_worker *w, int files_fd, const struct crew__tls_secret *secret,
	bool loud, char *ret_error, size_t error_size);
/* For crew__worker_free(). */
void crew__worker_end_tls(crew_worker *w);

/* Files that are looked at time and again. They count as changed when two looks in a row found them
 * alike, and other than those that were taken or refused last: so a certificate whose key is still
 * being written is waited for. */
struct crew__tls_watch {
	uint64_t seen, done;
};
enum {
	CREW__TLS_LOOK_MS = 2000
};
void crew__tls_watch_begin(
	struct crew__tls_watch *watch, const struct crew__service_settings *settings);
/* True: read them now. They are done then, whatever comes of it. */
bool crew__tls_watch_look(
	struct crew__tls_watch *watch, const struct crew__service_settings *settings);

#endif
