/* tls_context_ktls.c - could the kernel encrypt a connection itself?
 *
 * Asked of the kernel, not of its version: the module may be missing, forbidden, or not loaded and
 * out of reach of this process. Only a connected socket may be asked, so one is made to ourselves.
 */
#include "net/tls_context.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

/* A connection over the loopback, complete without being accepted. False: not even that. */
static bool connect_to_self(int listening, int connecting)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(here);
	return bind(listening, (struct sockaddr *)&here, size) == 0 && listen(listening, 1) == 0 &&
	       getsockname(listening, (struct sockaddr *)&here, &size) == 0 &&
	       connect(connecting, (struct sockaddr *)&here, size) == 0;
}

static const char *why_not(int error)
{
	switch (error) {
	case 0:
		return NULL;
	case ENOENT:
		return "the kernel has no tls module loaded (modprobe tls)";
	case EPERM:
	case EACCES:
		return "this process may not use the kernel's tls";
	case ENOPROTOOPT:
		return "the kernel knows no protocols above TCP";
	default:
		return "the kernel refuses it";
	}
}

static const char *probe(void)
{
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int connecting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *answer = "no connection to the machine itself could be made to try it";
	if (listening >= 0 && connecting >= 0 && connect_to_self(listening, connecting)) {
		bool done = setsockopt(connecting, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0;
		answer = why_not(done ? 0 : errno);
	}
	if (listening >= 0)
		close(listening);
	if (connecting >= 0)
		close(connecting);
	return answer;
}

void crew__ktls_allow(SSL *ssl)
{
	if (!crew__ktls_why_not())
		SSL_set_options(ssl, SSL_OP_ENABLE_KTLS);
}

const char *crew__ktls_why_not(void)
{
	static bool known;
	static const char *answer;
	if (!known)
		answer = probe();
	known = true;
	return answer;
}
