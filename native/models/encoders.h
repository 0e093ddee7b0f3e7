#pragma once

#include "models/encoder.h"

/// One maker per architecture file, as in models.h.
std::unique_ptr<Encoder> make_bert(const Config& config, Weights& weights);
std::unique_ptr<Encoder> make_gemma3_text_encoder(const Config& config, Weights& weights);
std::unique_ptr<Encoder> make_modernbert(const Config& config, Weights& weights);
std::unique_ptr<Encoder> make_xlm_roberta(const Config& config, Weights& weights);
