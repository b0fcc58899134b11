/* control2.c - control.c with another number: the new version that a reload brings. */
#define VARIANT 2
#include "control.c"
