/* address_options.h - options of an address by name, and how they get into a socket.
 *
 * Reading is pure: no name of a user or an interface is looked up before a socket is opened. */
#ifndef CREW_NET_ADDRESS_OPTIONS_H
#define CREW_NET_ADDRESS_OPTIONS_H

#include "base/base.h"
#include "net/address_options.def"

enum crew__address_option {
#define CREW__OPTION(name, kind, least, most, where) CREW__OPTION_##name,
	CREW__ADDRESS_OPTION_TABLE(CREW__OPTION)
#undef CREW__OPTION
	CREW__OPTIONS
};
_Static_assert(CREW__OPTIONS <= 32, "a bit for each option");

enum {
	CREW__OPTION_NAME_MAX = 32 /* the longest name of a user or group that useradd makes */
};

struct crew__address_options {
	uint32_t given; /* a bit for each */
	int32_t value[CREW__OPTIONS];
	char interface[16]; /* IFNAMSIZ */
	char owner[CREW__OPTION_NAME_MAX + 1], group[CREW__OPTION_NAME_MAX + 1];
};

/* What stands behind `?`. `form` is the letter of the address's form (address_options.def). 0, or
 * -EINVAL with a sentence that names the option. */
int crew__address_options_parse(const char *text, char form,
	struct crew__address_options *ret_options, char *ret_error, size_t error_size);

static inline bool crew__option_given(
	const struct crew__address_options *options, enum crew__address_option option)
{
	return options->given & UINT32_C(1) << option;
}

/* Its value, or `preset` when it is not given. */
static inline int crew__option_or(
	const struct crew__address_options *options, enum crew__address_option option, int preset)
{
	return crew__option_given(options, option) ? options->value[option] : preset;
}

/* Set on an IP socket, before it is bound, all that belongs there. `stream`: it is TCP. 0, or a
 * negative errno with a sentence that names the option. */
int crew__address_options_apply(const struct crew__address_options *options, int fd, bool stream,
	bool ipv6, char *ret_error, size_t error_size);

/* What `owner` and `group` mean on this machine; (uid_t)-1 and (gid_t)-1: not given. 0, -ENOENT or
 * another errno with a sentence. */
int crew__address_options_owner(const struct crew__address_options *options, uid_t *ret_uid,
	gid_t *ret_gid, char *ret_error, size_t error_size);

#endif
