/* address.h - where a service listens: parsing, showing, opening.
 *
 * SCHEME://HOST:PORT, SCHEME://[IPV6]:PORT, SCHEME://:PORT (every address, IPv6 and IPv4),
 * unix://PATH and SCHEME+unix://PATH, unix://@NAME (abstract), udp://HOST:PORT and
 * SCHEME+udp://HOST:PORT. HOST is a numeric address, `localhost` or `*`. tls, https and wss are
 * tcp, http and ws with TLS. Options follow as ?name=value&name (address_options.def). In paths and
 * names %XX is a byte, for those that would mean something else: blank, `?`, `%`. */
#ifndef CREW_NET_ADDRESS_H
#define CREW_NET_ADDRESS_H

#include "base/base.h"
#include "net/address_options.h"
#include "stats/slab.h"

#include <sys/socket.h>
#include <sys/types.h>

struct crew__address {
	char scheme[32]; /* without "+unix" and "+udp"; "tcp" for unix://, and for tls:// */
	enum crew__transport_kind transport; /* CREW__TCP, CREW__UNIX or CREW__UDP */
	bool tls;                            /* the scheme was tls, https or wss */
	bool abstract;                       /* a Unix socket's name, not a path */
	bool every; /* HOST was empty or `*`: `socket` is [::], which takes IPv4 as well */
	struct sockaddr_storage socket;
	socklen_t socket_size;
	dev_t file_device; /* of the Unix socket's file, once it listens */
	ino_t file_inode;
	uint32_t unsent_limit; /* to be set before listening: TCP_NOTSENT_LOWAT; 0: the system's */
	struct crew__address_options options;
	char text[400]; /* as shown: as it was written, RUNDIR resolved, without options; once it
			 * listens, with the port that was chosen for 0 */
};

enum {
	CREW__ADDRESSES_MAX = 16 /* of one service */
};

/* `run_dir` replaces a leading RUNDIR/ in a path; another relative path counts from the working
 * directory. 0, or -EINVAL/-ENAMETOOLONG with a sentence in
 * `ret_error` that names what is wrong with which part. The scheme's meaning is not checked here.
 */
int crew__address_parse(const char *text, const char *run_dir, struct crew__address *ret_address,
	char *ret_error, size_t error_size);

/* Several, separated by blanks, into room for CREW__ADDRESSES_MAX of them: all of one scheme, none
 * twice. 0 and at least one, or as above. */
int crew__addresses_parse(const char *text, const char *run_dir,
	struct crew__address *ret_addresses, size_t *ret_count, char *ret_error, size_t error_size);

/* Do both mean the same place? Port 0 is another one each time. */
bool crew__address_same(const struct crew__address *a, const struct crew__address *b);

/* All of `count`, `stride` bytes apart, separated by blanks; those that have no room are counted
 * ("and 3 more"), if there is room for that. Returns the length. */
size_t crew__addresses_text(const struct crew__address *addresses, size_t stride, size_t count,
	char *text, size_t size);

/* Is it a multicast group, of UDP? Each socket at it gets every datagram. */
bool crew__address_is_group(const struct crew__address *address);

/* Bind, and but for UDP listen: a non-blocking, close-on-exec socket with all options set, or a
 * negative errno with a sentence in `ret_error`; for EADDRINUSE it names the process that holds the
 * port where /proc tells. A Unix socket file that nobody listens on is replaced. Where the port is
 * 0 the address gets the one that the kernel has chosen. */
int crew__address_listen(
	struct crew__address *address, bool reuse_port, char *ret_error, size_t error_size);

/* Of a Unix socket's file, by which it is known again; inode 0: whose it is, is not known. */
struct crew__address_file {
	dev_t device;
	ino_t inode;
};

/* Could that socket, which is there already, serve an address of that transport: is it of its kind,
 * and does it listen? */
bool crew__address_fits(const struct crew__address *address, int fd);
/* Is it at that very address as well? Port 0 is any port of the same host; a Unix socket must still
 * be what its path names. */
bool crew__address_is_at(
	const struct crew__address *address, int fd, const struct crew__address_file *file);
/* Give it all that crew__address_listen() would have given it, and the address the place where it
 * is. It stays the caller's. Options that it had and that are not asked for any more stay in force.
 * 0 or a negative errno with a sentence. */
int crew__address_adopt(struct crew__address *address, int fd,
	const struct crew__address_file *file, bool reuse_port, char *ret_error, size_t error_size);

/* Remove the Unix socket's file if it is still this one's. Nothing for what has no file. */
void crew__address_unlink(const struct crew__address *address, int listen_fd);

/* To and from the form that records keep, and to text ("127.0.0.1:80", "[::1]:80", "unix:",
 * "unix:@name"). As snprintf: returns the full length. */
void crew__address_record(const struct sockaddr *address, struct crew__record_address *ret_record);
/* The same of what the kernel told: of an abstract Unix socket with the first bytes of its name. */
void crew__address_record_of(const struct sockaddr_storage *address, socklen_t size,
	struct crew__record_address *ret_record);
/* What the kernel told in full, of a Unix socket: "unix:/path", "unix:@name", "unix:". */
size_t crew__address_unix_text(
	const struct sockaddr_storage *address, socklen_t size, char *text, size_t room);
size_t crew__address_text(const struct crew__record_address *record, char *text, size_t size);
/* The same without port and brackets: "127.0.0.1", "::1". */
size_t crew__address_bare(const struct crew__record_address *record, char *text, size_t size);

#endif
