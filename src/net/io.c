#include "net/io.h"

#include "net/conn_out.h"
#include "net/tls.h"

const struct crew__io *const crew__ios[CREW__IO_KINDS] = {
	[CREW__IO_TLS] = &crew__io_tls,
	[CREW__IO_KTLS] = &crew__io_ktls,
	[CREW__IO_NONE] = &crew__io_none,
	[CREW__IO_DATAGRAM] = &crew__io_datagram,
	[CREW__IO_SPLICE] = &crew__io_splice,
};
