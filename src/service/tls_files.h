/* tls_files.h - the files that a service's TLS is made from: their lists, whether they have
 * changed, and all of them as one sealed piece of memory.
 *
 * Whoever may read them (the master) gathers their bytes and looks at none of them; whoever needs
 * them (a worker) gets the memory by its descriptor and takes it apart. */
#ifndef CREW_SERVICE_TLS_FILES_H
#define CREW_SERVICE_TLS_FILES_H

#include "net/tls_context.h"
#include "service/settings.h"

enum {
	CREW__TLS_PATH_MOST = 4096,
	CREW__TLS_PAIRS_MOST = 65536
};

/* The next of a list's words into `word`, and `*list` moves behind it. False: there is none, or it
 * is too long. */
bool crew__tls_next_path(const char **list, char word[CREW__TLS_PATH_MOST]);
size_t crew__tls_count_paths(const char *list); /* NULL: 0 */

/* Another number whenever one of the files is another one, has another size, or was written. */
uint64_t crew__tls_files_stamp(const struct crew__service_settings *settings);

/* All of them as a sealed memfd, `*ret_fd`. A negative errno with a sentence. */
int crew__tls_files_read(const struct crew__service_settings *settings, int *ret_fd,
	char *ret_error, size_t error_size);

/* Taken apart: views into memory that is mapped. */
struct crew__tls_files {
	void *memory;
	size_t size;
	struct crew__tls_pair *pairs;
	size_t count;
	crew_bytes client_ca;
	const char *client_ca_name;
};
/* `fd` stays the caller's. -EPROTO: it is no such memory. */
int crew__tls_files_open(int fd, struct crew__tls_files *ret_files);
void crew__tls_files_fini(struct crew__tls_files *files);

#endif
