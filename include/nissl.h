/** Nissl: a laboratory for artificial neural networks. Everything public. */
#ifndef NISSL_H
#define NISSL_H

#include "nissl/anova.h"
#include "nissl/array.h"
#include "nissl/compare.h"
#include "nissl/context.h"
#include "nissl/error.h"
#include "nissl/examine.h"
#include "nissl/information.h"
#include "nissl/network.h"
#include "nissl/population.h"
#include "nissl/recording.h"
#include "nissl/reducer.h"
#include "nissl/report.h"
#include "nissl/stimuli.h"
#include "nissl/table.h"
#include "nissl/tuning.h"
#include "nissl/verify.h"

#endif
