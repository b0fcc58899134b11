/* address.h - where a service listens: parsing, showing, opening.
 *
 * SCHEME://HOST:PORT, SCHEME://[IPV6]:PORT, SCHEME://:PORT (every address, IPv6 and IPv4),
 * unix://PATH and SCHEME+unix://PATH. HOST is a numeric address, `localhost` or `*`. */
#ifndef CREW_NET_ADDRESS_H
#define CREW_NET_ADDRESS_H

#include "base/base.h"
#include "stats/slab.h"

#include <sys/socket.h>
#include <sys/types.h>

struct crew__address {
	char scheme[32]; /* without "+unix"; "tcp" for unix:// */
	enum crew__transport_kind transport;
	bool every; /* HOST was empty or `*`: `socket` is [::], which takes IPv4 as well */
	struct sockaddr_storage socket;
	socklen_t socket_size;
	dev_t file_device; /* of the Unix socket's file, once it listens */
	ino_t file_inode;
	uint32_t unsent_limit; /* to be set before listening: TCP_NOTSENT_LOWAT; 0: the system's */
	char text[256];        /* as shown: as it was written, with RUNDIR resolved */
};

/* `run_dir` replaces a leading RUNDIR/ in a path; another relative path counts from the working
 * directory. 0, or -EINVAL/-ENAMETOOLONG with a sentence in
 * `ret_error` that names what is wrong with which part. The scheme's meaning is not checked here.
 */
int crew__address_parse(const char *text, const char *run_dir, struct crew__address *ret_address,
	char *ret_error, size_t error_size);

/* Bind and listen: a non-blocking, close-on-exec socket, or a negative errno with a sentence in
 * `ret_error`; for EADDRINUSE it names the process that holds the port where /proc tells. A Unix
 * socket file that nobody listens on is replaced. */
int crew__address_listen(
	struct crew__address *address, bool reuse_port, char *ret_error, size_t error_size);

/* Remove the Unix socket's file if it is still this one's. Nothing for TCP. */
void crew__address_unlink(const struct crew__address *address, int listen_fd);

/* To and from the form that records keep, and to text ("127.0.0.1:80", "[::1]:80", "unix:"). As
 * snprintf: returns the full length. */
void crew__address_record(const struct sockaddr *address, struct crew__record_address *ret_record);
size_t crew__address_text(const struct crew__record_address *record, char *text, size_t size);
/* The same without port and brackets: "127.0.0.1", "::1". */
size_t crew__address_bare(const struct crew__record_address *record, char *text, size_t size);

#endif
