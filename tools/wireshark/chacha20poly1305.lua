-- SPDX-License-Identifier: GPL-2.0-only
--
-- ChaCha20-Poly1305 (RFC 8439) for centipede.lua: opening only. Lua in Wireshark 4.0 has no cipher of its own, so this is
-- written out, in plain numbers and Wireshark's library `bit`. Not constant-time: for reading captures, nothing else.

local bxor, rol, rshift, band = bit.bxor, bit.rol, bit.rshift, bit.band
local floor = math.floor

local WORD = 2 ^ 32
local BLOCK = 64

-- Four bytes from `at` on, little-endian.
local function word(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  return a + b * 0x100 + c * 0x10000 + d * 0x1000000
end

local function bytes_of(value)
  return string.char(band(value, 0xff), band(rshift(value, 8), 0xff), band(rshift(value, 16), 0xff), rshift(value, 24))
end

local function quarter_round(a, b, c, d)
  a = (a + b) % WORD
  d = rol(bxor(d, a), 16)
  c = (c + d) % WORD
  b = rol(bxor(b, c), 12)
  a = (a + b) % WORD
  d = rol(bxor(d, a), 8)
  c = (c + d) % WORD
  b = rol(bxor(b, c), 7)
  return a, b, c, d
end

-- The 16 words of the state: constants, key, block number, nonce.
local function initial_state(key, nonce)
  local state = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }
  for i = 0, 7 do
    state[5 + i] = word(key, 1 + 4 * i)
  end
  state[13] = 0
  for i = 0, 2 do
    state[14 + i] = word(nonce, 1 + 4 * i)
  end
  return state
end

-- The 16 words of one block of the key stream.
local function chacha20_block(state, number)
  state[13] = number
  local a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3 = table.unpack(state)
  for _ = 1, 10 do
    a0, b0, c0, d0 = quarter_round(a0, b0, c0, d0)
    a1, b1, c1, d1 = quarter_round(a1, b1, c1, d1)
    a2, b2, c2, d2 = quarter_round(a2, b2, c2, d2)
    a3, b3, c3, d3 = quarter_round(a3, b3, c3, d3)
    a0, b1, c2, d3 = quarter_round(a0, b1, c2, d3)
    a1, b2, c3, d0 = quarter_round(a1, b2, c3, d0)
    a2, b3, c0, d1 = quarter_round(a2, b3, c0, d1)
    a3, b0, c1, d2 = quarter_round(a3, b0, c1, d2)
  end
  local block = { a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3 }
  for i = 1, 16 do
    block[i] = (block[i] + state[i]) % WORD
  end
  return block
end

-- Encrypts as well as decrypts; the key stream begins with block `number`.
local function chacha20(key, nonce, number, text)
  local state = initial_state(key, nonce)
  local size = #text
  local padded = text .. ("\0"):rep(-size % BLOCK)
  local out = {}
  for at = 1, size, BLOCK do
    local block = chacha20_block(state, number)
    number = number + 1
    for i = 1, 16 do
      out[#out + 1] = bytes_of(bxor(word(padded, at + 4 * (i - 1)), block[i]))
    end
  end
  return table.concat(out):sub(1, size)
end

-- Poly1305 counts modulo 2^130 - 5 in six limbs of 22 bits: a sum of six products of two limbs, those beyond 2^132
-- multiplied by 20, stays below 2^53, where Lua's numbers are exact.
local LIMB = 2 ^ 22

-- 16 bytes from `at` on, little-endian; `top` is what bit 128 adds to the last limb.
local function limbs_of(text, at, top)
  local w0, w1, w2, w3 = word(text, at), word(text, at + 4), word(text, at + 8), word(text, at + 12)
  return {
    w0 % LIMB,
    floor(w0 / LIMB) + w1 % 2 ^ 12 * 2 ^ 10,
    floor(w1 / 2 ^ 12) + w2 % 4 * 2 ^ 20,
    floor(w2 / 4) % LIMB,
    floor(w2 / 2 ^ 24) + w3 % 2 ^ 14 * 2 ^ 8,
    floor(w3 / 2 ^ 14) + top,
  }
end

-- Each limb below 2^22 but the last, which keeps what is beyond.
local function carry(h)
  for i = 1, 5 do
    h[i + 1] = h[i + 1] + floor(h[i] / LIMB)
    h[i] = h[i] % LIMB
  end
end

-- What is at 2^130 and above comes back five-fold at the bottom. The result is at most a little above 2^130.
local function fold(h)
  carry(h)
  h[1] = h[1] + floor(h[6] / 2 ^ 20) * 5
  h[6] = h[6] % 2 ^ 20
  carry(h)
end

local function multiply(h, r)
  local product = { 0, 0, 0, 0, 0, 0 }
  for i = 1, 6 do
    for j = 1, 6 do
      local place = i + j - 1
      if place <= 6 then
        product[place] = product[place] + h[i] * r[j]
      else
        product[place - 6] = product[place - 6] + 20 * h[i] * r[j]
      end
    end
  end
  fold(product)
  return product
end

local function subtract_if_not_below_p(h)
  local less = { h[1] + 5, h[2], h[3], h[4], h[5], h[6] }
  carry(less)
  if less[6] < 2 ^ 20 then return h end
  less[6] = less[6] - 2 ^ 20
  return less
end

-- The tag of whole blocks of 16 bytes, which is all that the AEAD makes of its parts, under a one-time key of 32 bytes.
local function poly1305(key, text)
  local clamped = {}
  for i = 0, 3 do
    clamped[#clamped + 1] = bytes_of(band(word(key, 1 + 4 * i), i == 0 and 0x0fffffff or 0x0ffffffc))
  end
  local r = limbs_of(table.concat(clamped), 1, 0)
  local h = { 0, 0, 0, 0, 0, 0 }
  for at = 1, #text, 16 do
    local block = limbs_of(text, at, 2 ^ 18)
    for i = 1, 6 do
      h[i] = h[i] + block[i]
    end
    h = multiply(h, r)
  end
  h = subtract_if_not_below_p(h)
  local s = limbs_of(key, 17, 0)
  for i = 1, 6 do
    h[i] = h[i] + s[i]
  end
  carry(h)
  local w0 = h[1] + h[2] % 2 ^ 10 * LIMB
  local w1 = floor(h[2] / 2 ^ 10) + h[3] % 2 ^ 20 * 2 ^ 12
  local w2 = floor(h[3] / 2 ^ 20) + h[4] * 4 + h[5] % 2 ^ 8 * 2 ^ 24
  local w3 = floor(h[5] / 2 ^ 8) + h[6] % 2 ^ 18 * 2 ^ 14
  return bytes_of(w0) .. bytes_of(w1) .. bytes_of(w2) .. bytes_of(w3)
end

local function padded_to_16(text)
  return text .. ("\0"):rep(-#text % 16)
end

local function length_of(text)
  return bytes_of(#text) .. "\0\0\0\0"
end

-- The plaintext, or nil when the tag is wrong.
local function open(key, nonce, associated, ciphertext, tag)
  local one_time_key = chacha20(key, nonce, 0, ("\0"):rep(32))
  local authenticated = padded_to_16(associated) .. padded_to_16(ciphertext) .. length_of(associated) .. length_of(ciphertext)
  if poly1305(one_time_key, authenticated) ~= tag then return nil end
  return chacha20(key, nonce, 1, ciphertext)
end

return { chacha20 = chacha20, poly1305 = poly1305, open = open }
