/* certificates.h - the files of TLS as a master keeps them: read, handed on, looked at again.
 *
 * The master reads them, because workers may not be allowed to, and parses none of them: what they
 * hold is judged by a worker. A generation has the sets that its workers start with. When files
 * have changed, one worker of the service is given the new set first; if it takes it, that is the
 * set of the generation and all others get it, if not, the old one stays and the reason was told
 * once.
 *
 *   files settled ──read──▸ candidate ──the judge takes it──▸ the generation's set, to all workers
 *                                │ refused, or the judge is gone ──▸ dropped */
#ifndef CREW_PROC_CERTIFICATES_H
#define CREW_PROC_CERTIFICATES_H

#include "service/tls.h"

struct crew__master;
struct crew__child;

/* Of a generation, by place in the directory. All zero: there are none. */
struct crew__certificates {
	struct {
		bool has;
		int fd; /* crew__tls_files_read() */
		struct crew__tls_watch watch;
	} service[CREW_MAX_SERVICES];
};
/* Read the files of all services that speak TLS; `places` are those of the settings' services. 0,
 * or a negative errno with a sentence. */
int crew__certificates_read(struct crew__certificates *certificates,
	const struct crew__settings *settings, const unsigned *places, char *ret_error,
	size_t error_size);
void crew__certificates_fini(struct crew__certificates *certificates);

/* Look at the files of the generation in force every few seconds, if it has any. Called at the
 * start and whenever another generation is in force: what was under way is dropped. -ENOMEM. */
int crew__certificates_watch(struct crew__master *master);
void crew__certificates_unwatch(struct crew__master *master);
/* A worker has answered to a set that it was given. */
void crew__certificates_answered(
	struct crew__master *master, const struct crew__child *child, uint32_t serial, bool taken);

/* Of a master: what is under way. */
struct crew__certificate_watch {
	struct crew__timer timer;
	uint32_t serial; /* of the last candidate */
	struct {
		bool has;
		int fd;
		uint32_t serial;
		pid_t judge;
		unsigned looks; /* since it was asked */
	} candidate[CREW_MAX_SERVICES];
};

#endif
